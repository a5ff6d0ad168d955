//! WebSockets as far as a proxy sees them: a GET with an upgrade (RFC 6455) or an extended CONNECT (RFC 8441), then bytes. In: a client, a path,
//! a token. Out: a [`Socket`], or the status it was refused with.

use std::io;

use http_body_util::{BodyExt, Empty};
use hyper::client::conn::http2;
use hyper::ext::Protocol;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::client::Client;
use crate::http1::Stream;

/// An open connection.
pub struct Socket(Box<dyn Stream>);

impl Socket {
    /// Sends these bytes.
    pub async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes).await?;
        self.0.flush().await
    }

    /// The next bytes, so many.
    pub async fn receive(&mut self, bytes: usize) -> io::Result<Vec<u8>> {
        let mut received = vec![0; bytes];
        self.0.read_exact(&mut received).await?;
        Ok(received)
    }
}

impl Client {
    /// Opens a WebSocket; else the status of the refusal. Panics if there is no answer.
    pub async fn websocket(&self, path: &str, token: Option<&str>) -> Result<Socket, u16> {
        let opened = if self.http2 { self.connect_socket(path, token).await } else { self.upgrade(path, token).await };
        opened.unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    async fn upgrade(&self, path: &str, token: Option<&str>) -> io::Result<Result<Socket, u16>> {
        let (mut stream, _) = self.connect().await?;
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        let host = &self.authority;
        let head = format!(
            "GET {path} HTTP/1.1\r\nhost: {host}\r\nupgrade: websocket\r\nconnection: upgrade\r\nsec-websocket-version: 13\r\n\
             sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n{token}\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await?);
        }
        let status = answer.get(9..12).and_then(|status| std::str::from_utf8(status).ok()?.parse().ok()).unwrap_or(0);
        Ok(if status == 101 { Ok(Socket(stream)) } else { Err(status) })
    }

    async fn connect_socket(&self, path: &str, token: Option<&str>) -> io::Result<Result<Socket, u16>> {
        let (stream, _) = self.connect().await?;
        let (mut sender, connection) =
            http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.map_err(io::Error::other)?;
        tokio::spawn(connection);
        // The server says in its settings that it knows these; a first request makes sure that they have come.
        let first =
            hyper::Request::get(format!("https://{}/healthz", self.authority)).body(Empty::<hyper::body::Bytes>::new());
        let first = sender.send_request(first.map_err(io::Error::other)?).await.map_err(io::Error::other)?;
        first.into_body().collect().await.map_err(io::Error::other)?;
        let request = hyper::Request::connect(format!("https://{}{path}", self.authority))
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13");
        let request = token
            .into_iter()
            .fold(request, |request, token| request.header("authorization", format!("Bearer {token}")));
        let request = request.body(Empty::new()).map_err(io::Error::other)?;
        let answer = sender.send_request(request).await.map_err(io::Error::other)?;
        if answer.status() != 200 {
            return Ok(Err(answer.status().as_u16()));
        }
        let upgraded = hyper::upgrade::on(answer).await.map_err(io::Error::other)?;
        Ok(Ok(Socket(Box::new(TokioIo::new(upgraded)))))
    }
}
