//! What stands between the proxy and a server, and fails as networks and machines do. In: where the server is, faults. Out: an
//! address. What fails in what is said over HTTP is the server's to say (`authorization_server`).

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{sleep, timeout};

/// What a gate does with connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// They reach the server.
    None,
    /// Those that are there are closed, new ones refused: the server was killed.
    Refuses,
    /// They stay, and new ones are accepted, but nothing comes through. Afterwards it goes on where it stood: the server was stopped.
    Silent,
    /// As `Silent`; afterwards those that were there stay silent for good, as behind a router that has forgotten them.
    Forgotten,
    /// Those that are there stay silent, and new ones never come about.
    NoConnects,
    /// They get bytes that are nothing.
    Garbage,
    /// They are closed in the middle of an answer.
    Cuts,
    /// Of an answer a few bytes come at a time.
    Drips,
}

/// See the module. It ends when dropped.
#[derive(Debug)]
pub struct Gate {
    address: SocketAddr,
    state: watch::Sender<State>,
    count: Arc<AtomicU64>,
    task: JoinHandle<()>,
}

#[derive(Clone, Copy, Debug)]
struct State {
    fault: Fault,
    /// So many of the first connections are silent for good.
    forgotten: u64,
    server: Option<SocketAddr>,
}

impl Gate {
    /// Without a fault, and in front of nothing yet: connections wait.
    pub fn start() -> Self {
        let listener = bound((Ipv4Addr::LOCALHOST, 0).into()).listen(1024).expect("it was bound just now");
        let address = listener.local_addr().expect("a bound socket has an address");
        let state = watch::Sender::new(State { fault: Fault::None, forgotten: 0, server: None });
        let count = Arc::<AtomicU64>::default();
        let task = tokio::spawn(keep(listener, count.clone(), state.clone()));
        Self { address, state, count, task }
    }

    /// Where it is.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The server in front of which it stands is there.
    pub fn leads_to(&self, server: SocketAddr) {
        self.state.send_modify(|state| state.server = Some(server));
    }

    /// From now on it fails so.
    pub fn fails(&self, fault: Fault) {
        self.state.send_modify(|state| {
            if state.fault == Fault::Forgotten {
                state.forgotten = self.count.load(Ordering::SeqCst);
            }
            state.fault = fault;
        });
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn keep(listener: TcpListener, count: Arc<AtomicU64>, state: watch::Sender<State>) {
    let address = listener.local_addr().expect("a bound socket has an address");
    let mut changes = state.subscribe();
    let mut listener = Some(listener);
    let mut crowd = Vec::new();
    let mut connections = JoinSet::new();
    loop {
        let fault = changes.borrow_and_update().fault;
        match fault {
            Fault::Refuses => {
                (listener, crowd) = (None, Vec::new());
                connections.shutdown().await;
            }
            Fault::NoConnects => {
                listener = None;
                if crowd.is_empty() {
                    crowd = full(address).await;
                }
            }
            _ => {
                crowd.clear();
                listener = listener.or_else(|| Some(bound(address).listen(1024).expect("it was bound just now")));
            }
        }
        let accepted = async {
            match &listener {
                Some(listener) => listener.accept().await.ok(),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            Some((stream, _)) = accepted => {
                let number = count.fetch_add(1, Ordering::SeqCst);
                connections.spawn(carry(number, stream, state.subscribe()));
            }
            _ = changes.changed() => {}
        }
        while connections.try_join_next().is_some() {}
    }
}

fn bound(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    socket.set_reuseaddr(true).expect("a new socket");
    socket.bind(address).unwrap_or_else(|error| panic!("cannot listen on {address}: {error}"));
    socket
}

/// A listener that nobody serves, and as many connections as it has room for.
async fn full(address: SocketAddr) -> Vec<(Option<TcpListener>, Option<TcpStream>)> {
    let listener = bound(address).listen(0).expect("it was bound just now");
    let mut crowd = vec![(Some(listener), None)];
    while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(address)).await {
        crowd.push((None, Some(stream)));
    }
    crowd
}

async fn carry(number: u64, client: TcpStream, mut state: watch::Receiver<State>) {
    let Ok(Some(server)) = state.wait_for(|state| state.server.is_some()).await.map(|state| state.server) else {
        return;
    };
    let Ok(server) = TcpStream::connect(server).await else { return };
    for stream in [&client, &server] {
        // Nagle's algorithm would only delay what is passed on.
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::select! {
        () = pump(from_client, to_server, false, number, state.clone()) => {}
        () = pump(from_server, to_client, true, number, state) => {}
    }
}

/// Passes on what comes, until one of the two sides has enough.
async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    is_answer: bool,
    number: u64,
    mut state: watch::Receiver<State>,
) {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let Ok(length @ 1..) = from.read(&mut buffer).await else { return };
        let bytes = &mut buffer[..length];
        let moves = |state: &State| {
            let silent = matches!(state.fault, Fault::Silent | Fault::Forgotten | Fault::NoConnects);
            !silent && number >= state.forgotten
        };
        let Ok(now) = state.wait_for(moves).await.map(|state| state.fault) else { return };
        match now {
            Fault::Garbage if is_answer => bytes.fill(0xa7),
            Fault::Cuts if is_answer => {
                let _ = to.write_all(&bytes[..length / 2]).await;
                return;
            }
            Fault::Drips if is_answer => {
                let mut few = bytes.chunks(8);
                while state.borrow().fault == Fault::Drips
                    && let Some(few) = few.next()
                {
                    if to.write_all(few).await.is_err() {
                        return;
                    }
                    sleep(Duration::from_millis(100)).await;
                }
                for rest in few {
                    if to.write_all(rest).await.is_err() {
                        return;
                    }
                }
                continue;
            }
            _ => {}
        }
        if to.write_all(bytes).await.is_err() {
            return;
        }
    }
}
