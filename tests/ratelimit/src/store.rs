//! Counters in Redis. In: counters and what each is raised by. Out: what they come to, in one round trip.
//!
//! As with envoyproxy/ratelimit, the ask that finds Redis gone fails, and later ones wait until it is back, as long as their
//! callers do; a Redis that is silent is waited for likewise. Two commands of its protocol do; a client crate for all
//! of it takes longer to compile than the rest of this server.

use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::{AsyncBufRead, AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::Mutex;

/// Between two tries to reach a Redis that is gone.
const RECONNECT: Duration = Duration::from_millis(50);
/// No line of an answer is nearly as long.
const LONGEST_LINE: usize = 4096;

/// What happens to one counter.
#[derive(Debug)]
pub(crate) struct Raise {
    pub(crate) counter: String,
    pub(crate) by: u64,
    /// It is forgotten after so many seconds.
    pub(crate) expires: i64,
}

#[derive(Debug, PartialEq, Eq)]
enum Address {
    /// `host:port`.
    Tcp(String),
    Unix(PathBuf),
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Stream for S {}

type Connection = BufReader<Box<dyn Stream>>;

/// One connection, used by one ask after the other.
pub(crate) struct Store {
    address: Address,
    /// Taken out while it is used, so that an ask whose caller went away leaves no answer behind for the next one.
    connection: Mutex<Option<Connection>>,
}

impl Store {
    /// Of `redis://host:port` or `redis+unix:///path`. Does not connect yet.
    pub(crate) fn new(url: &str) -> Result<Self, &'static str> {
        let address = if let Some(path) = url.strip_prefix("redis+unix://") {
            Address::Unix(path.into())
        } else {
            let host = url.strip_prefix("redis://").ok_or("neither redis://host:port nor redis+unix:///path")?;
            let host = host.trim_end_matches('/');
            if host.is_empty() || host.contains(['/', '@', '?']) {
                return Err("a host and a port is all that can be given");
            }
            let has_port = host.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
            Address::Tcp(if has_port { host.to_owned() } else { format!("{host}:6379") })
        };
        Ok(Self { address, connection: Mutex::default() })
    }

    /// The counters afterwards, in the same order.
    pub(crate) async fn raise(&self, raises: &[Raise]) -> io::Result<Vec<u64>> {
        let mut kept = self.connection.lock().await;
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.patiently().await,
        };
        let mut counts = exchange(&mut connection, raises).await;
        if let Err(error) = &counts {
            connection = self.connect().await.map_err(|_| io::Error::new(error.kind(), error.to_string()))?;
            // It died while nobody asked, and is back. That counts nothing twice: it came back empty.
            if is_gone(error) {
                counts = exchange(&mut connection, raises).await;
            }
        }
        if counts.is_ok() {
            *kept = Some(connection);
        }
        counts
    }

    async fn patiently(&self) -> Connection {
        loop {
            match self.connect().await {
                Ok(connection) => return connection,
                Err(_) => tokio::time::sleep(RECONNECT).await,
            }
        }
    }

    async fn connect(&self) -> io::Result<Connection> {
        let stream: Box<dyn Stream> = match &self.address {
            Address::Unix(path) => Box::new(UnixStream::connect(path).await?),
            Address::Tcp(address) => {
                let stream = TcpStream::connect(address).await?;
                stream.set_nodelay(true)?;
                Box::new(stream)
            }
        };
        Ok(BufReader::new(stream))
    }
}

/// Whether Redis closed the connection.
fn is_gone(error: &io::Error) -> bool {
    use ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, UnexpectedEof};
    matches!(error.kind(), BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | UnexpectedEof)
}

async fn exchange(connection: &mut Connection, raises: &[Raise]) -> io::Result<Vec<u64>> {
    let mut commands = Vec::new();
    for Raise { counter, by, expires } in raises {
        command(&mut commands, &["INCRBY", counter, &by.to_string()]);
        command(&mut commands, &["EXPIRE", counter, &expires.to_string()]);
    }
    connection.write_all(&commands).await?;
    let mut counts = Vec::new();
    for _ in raises {
        counts.push(integer(connection).await?);
        integer(connection).await?;
    }
    Ok(counts)
}

/// A command is an array of strings, each with its length before it.
fn command(bytes: &mut Vec<u8>, words: &[&str]) {
    bytes.extend(format!("*{}\r\n", words.len()).into_bytes());
    for word in words {
        bytes.extend(format!("${}\r\n{word}\r\n", word.len()).into_bytes());
    }
}

/// `:1234`, or an error of Redis after `-`.
async fn integer(connection: &mut (impl AsyncBufRead + Unpin)) -> io::Result<u64> {
    let line = line(connection).await?;
    match line.strip_prefix(':').and_then(|number| number.parse().ok()) {
        Some(number) => Ok(number),
        None => Err(io::Error::other(line.trim_start_matches('-').to_owned())),
    }
}

async fn line(connection: &mut (impl AsyncBufRead + Unpin)) -> io::Result<String> {
    use tokio::io::AsyncReadExt;

    let mut line = String::new();
    connection.take(LONGEST_LINE as u64).read_line(&mut line).await?;
    match line.strip_suffix("\r\n") {
        Some(text) => Ok(text.to_owned()),
        None => Err(ErrorKind::UnexpectedEof.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(url: &str) -> Result<Address, &'static str> {
        Store::new(url).map(|store| store.address)
    }

    #[test]
    fn address_is_of_a_socket_or_of_a_host_whose_port_may_be_left_out() {
        assert_eq!(address("redis+unix:///run/redis"), Ok(Address::Unix("/run/redis".into())));
        assert_eq!(address("redis://redis:7000"), Ok(Address::Tcp("redis:7000".into())));
        assert_eq!(address("redis://redis/"), Ok(Address::Tcp("redis:6379".into())));
        for wrong in ["redis:7000", "redis://", "redis://user:password@redis", "redis://redis/1", "rediss://redis"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn errors_of_redis_are_told_apart_from_numbers() {
        assert_eq!(integer(&mut &b":12\r\n"[..]).await.unwrap(), 12);
        let error = integer(&mut &b"-OOM command not allowed\r\n"[..]).await.unwrap_err();
        assert_eq!((error.to_string().as_str(), is_gone(&error)), ("OOM command not allowed", false));
        assert!(is_gone(&integer(&mut &b":1"[..]).await.unwrap_err()));
    }
}
