//! A WebSocket server that sends each short text back (RFC 6455). In: connections. Out: a port, and which cells opened one.

use std::io;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// RFC 6455 §1.3.
const GUID: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The running server.
pub struct WebSockets {
    port: u16,
    opened: Arc<Mutex<Vec<String>>>,
}

impl WebSockets {
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a free port");
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let opened = Arc::<Mutex<Vec<String>>>::default();
        let cells = opened.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // A client that goes away is nothing to report.
                tokio::spawn(serve(stream, cells.clone()));
            }
        });
        Self { port, opened }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// How often this cell opened a WebSocket.
    pub fn opened(&self, cell: &str) -> usize {
        self.opened.lock().expect("nobody panicked with it").iter().filter(|opened| *opened == cell).count()
    }
}

async fn serve(stream: TcpStream, cells: Arc<Mutex<Vec<String>>>) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    let (mut key, mut cell, mut line) = (String::new(), String::new(), String::new());
    while stream.read_line(&mut line).await? > 2 {
        let (name, value) = line.split_once(':').unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "sec-websocket-key" => key = value.trim().to_owned(),
            "x-cell" => cell = value.trim().to_owned(),
            _ => {}
        }
        line.clear();
    }
    cells.lock().expect("nobody panicked with it").push(cell);
    let accept = STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, format!("{key}{GUID}").as_bytes()));
    let head =
        "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-accept: ";
    stream.write_all(format!("{head}{accept}\r\n\r\n").as_bytes()).await?;
    loop {
        // One frame, masked, shorter than 126 bytes.
        let mut head = [0; 6];
        stream.read_exact(&mut head).await?;
        let [opcode, length, mask @ ..] = head;
        let mut text = vec![0; usize::from(length & 0x7f)];
        stream.read_exact(&mut text).await?;
        text.iter_mut().zip(mask.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        stream.write_all(&[&[opcode, length & 0x7f][..], &text].concat()).await?;
    }
}
