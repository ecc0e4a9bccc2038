//! A TCP proxy on loopback that can be told to misbehave.

use std::{net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{ReadHalf, WriteHalf},
    },
    sync::watch,
    task::JoinHandle,
    time::sleep,
};

/// Most bytes taken from one side before they are given to the other.
const CHUNK_BYTES: usize = 16 * 1024;

/// How a proxy treats what passes through it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// Everything passes.
    Open,
    /// Nothing passes, in either direction; it waits here.
    Stalled,
    /// Requests pass, answers are thrown away.
    Deaf,
    /// Nothing is connected: whoever comes is turned away.
    Refusing,
}

#[derive(Clone, Copy)]
struct State {
    upstream: SocketAddr,
    mode: Mode,
    /// Connections of an earlier generation have been cut.
    generation: u64,
    /// Connections from before the latest of so many strandings are silent.
    strandings: u64,
}

impl State {
    /// Whether a connection from the time of `birth` is still held up.
    fn holds_up(&self, birth: &Self) -> bool {
        self.mode == Mode::Stalled || self.strandings != birth.strandings
    }
}

/// Which way a pump pumps.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    Request,
    Answer,
}

/// A running proxy; it and its connections end with this value.
pub struct Proxy {
    address: SocketAddr,
    state: watch::Sender<State>,
    listening: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port and forwards to `upstream`. Whatever passes is `latency` late each way, which
    /// widens the moments between a request, its effect and its answer.
    ///
    /// # Panics
    /// If there is no free port.
    pub async fn start(upstream: SocketAddr, latency: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let (state, seen) = watch::channel(State {
            upstream,
            mode: Mode::Open,
            generation: 0,
            strandings: 0,
        });
        Self {
            address,
            state,
            listening: tokio::spawn(listen(listener, latency, seen)),
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Drops all connections at once, as a broken path would: both ends see a reset, and what was on
    /// its way is lost.
    pub fn cut(&self) {
        self.state.send_modify(|state| state.generation += 1);
    }

    /// Nothing passes on the connections there are, ever again, and nobody is told; new ones work. So
    /// it is behind a firewall that has forgotten them.
    pub fn strand(&self) {
        self.state.send_modify(|state| state.strandings += 1);
    }

    /// Forwards new connections to another server, as a name does after a failover.
    pub fn point_at(&self, upstream: SocketAddr) {
        self.state.send_modify(|state| state.upstream = upstream);
    }

    /// Goes on in this mode. What waited for the end of a stall then passes.
    pub fn set(&self, mode: Mode) {
        self.state.send_modify(|state| state.mode = mode);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.listening.abort();
        self.cut();
    }
}

async fn listen(listener: TcpListener, latency: Duration, state: watch::Receiver<State>) {
    // Out of descriptors or the like: there is nothing to proxy then.
    while let Ok((client, _)) = listener.accept().await {
        let birth = *state.borrow();
        if birth.mode == Mode::Refusing {
            reset(&client);
            continue;
        }
        tokio::spawn(connection(client, latency, state.clone(), birth));
    }
}

/// Forwards both ways until one side ends or the connection is cut.
async fn connection(
    mut client: TcpStream,
    latency: Duration,
    state: watch::Receiver<State>,
    birth: State,
) {
    let Ok(mut server) = TcpStream::connect(birth.upstream).await else {
        reset(&client);
        return;
    };
    // A request in several packets must not wait for the acknowledgement of the first.
    let _ = client.set_nodelay(true);
    let _ = server.set_nodelay(true);
    let mut cut = state.clone();
    {
        let (from_client, to_client) = client.split();
        let (from_server, to_server) = server.split();
        tokio::select! {
            () = pump(from_client, to_server, latency, state.clone(), birth, Way::Request) => {}
            () = pump(from_server, to_client, latency, state, birth, Way::Answer) => {}
            _ = cut.wait_for(|state| state.generation != birth.generation) => {}
        }
    }
    reset(&client);
    reset(&server);
}

async fn pump(
    mut from: ReadHalf<'_>,
    mut to: WriteHalf<'_>,
    latency: Duration,
    mut state: watch::Receiver<State>,
    birth: State,
    way: Way,
) {
    let mut chunk = vec![0; CHUNK_BYTES];
    while let Ok(read @ 1..) = from.read(&mut chunk).await {
        sleep(latency).await;
        let mode = match state.wait_for(|state| !state.holds_up(&birth)).await {
            Ok(state) => state.mode,
            Err(_) => return,
        };
        if mode == Mode::Deaf && way == Way::Answer {
            continue;
        }
        if to.write_all(&chunk[..read]).await.is_err() {
            return;
        }
    }
}

/// Closing will send a reset instead of a farewell.
fn reset(stream: &TcpStream) {
    // If it is closed already, there is nobody left to tell.
    let _ = stream.set_zero_linger();
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATE: Duration = Duration::from_millis(300);

    /// A server that answers each byte with the next one.
    async fn counting_server() -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                tokio::spawn(async move {
                    while let Ok(byte) = stream.read_u8().await {
                        if stream.write_u8(byte + 1).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    async fn proxy_and_client() -> (Proxy, TcpStream) {
        let proxy = Proxy::start(counting_server().await, Duration::ZERO).await;
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_u8(1).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 2);
        (proxy, client)
    }

    #[tokio::test]
    async fn a_cut_connection_is_reset_and_a_new_one_works() {
        let (proxy, mut client) = proxy_and_client().await;
        proxy.cut();
        let error = client.read_u8().await.unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        client.write_u8(5).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 6);
    }

    #[tokio::test]
    async fn what_was_stalled_passes_afterwards() {
        let (proxy, mut client) = proxy_and_client().await;
        proxy.set(Mode::Stalled);
        client.write_u8(7).await.unwrap();
        assert!(tokio::time::timeout(LATE, client.read_u8()).await.is_err());
        proxy.set(Mode::Open);
        assert_eq!(client.read_u8().await.unwrap(), 8);
    }

    #[tokio::test]
    async fn a_stranded_connection_stays_silent_while_new_ones_work() {
        let (proxy, mut client) = proxy_and_client().await;
        proxy.strand();
        client.write_u8(7).await.unwrap();
        assert!(tokio::time::timeout(LATE, client.read_u8()).await.is_err());
        let mut new = TcpStream::connect(proxy.address()).await.unwrap();
        new.write_u8(5).await.unwrap();
        assert_eq!(new.read_u8().await.unwrap(), 6);
        assert!(tokio::time::timeout(LATE, client.read_u8()).await.is_err());
    }

    #[tokio::test]
    async fn a_deaf_proxy_loses_answers_for_good() {
        let (proxy, mut client) = proxy_and_client().await;
        proxy.set(Mode::Deaf);
        client.write_u8(7).await.unwrap();
        assert!(tokio::time::timeout(LATE, client.read_u8()).await.is_err());
        proxy.set(Mode::Open);
        client.write_u8(9).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 10);
    }

    #[tokio::test]
    async fn who_is_refused_or_comes_after_the_end_is_not_connected() {
        let (proxy, mut client) = proxy_and_client().await;
        proxy.set(Mode::Refusing);
        let address = proxy.address();
        let mut refused = TcpStream::connect(address).await.unwrap();
        assert!(refused.read_u8().await.is_err());
        client.write_u8(3).await.unwrap();
        assert_eq!(client.read_u8().await.unwrap(), 4);
        drop(proxy);
        assert!(client.read_u8().await.is_err());
    }
}
