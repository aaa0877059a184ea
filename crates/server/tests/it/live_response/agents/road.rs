//! The road between agents and a server: a TCP proxy that stays at one address wherever the server listens, and that
//! can be as bad as roads are. What it carries it carries in order: that much TCP promises.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// What is wrong with one connection.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Fault {
    None,
    /// It is closed at once.
    Refused,
    /// It stands, and nothing is carried, for so long.
    Deaf(Duration),
    /// It breaks after so many bytes of both sides, in the midst of whatever they are part of.
    Cut(u64),
    /// After so many bytes nothing more is carried, and neither side is told for so long.
    HalfOpen(u64, Duration),
    /// Bytes go one little piece after the other, each of them late.
    Slow(usize, Duration),
    /// What the agent says arrives on a second connection as well.
    Twice,
}

#[derive(Clone)]
pub struct Road {
    address: SocketAddr,
    state: Arc<State>,
}

struct State {
    leads_to: Mutex<String>,
    next: Mutex<Box<dyn FnMut() -> Fault + Send>>,
    /// Nothing is carried.
    blocked: watch::Sender<bool>,
    cuts: watch::Sender<u64>,
    connections: AtomicU64,
    bytes: AtomicU64,
}

impl Road {
    /// A good one.
    pub async fn open(url: &str) -> Road {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a free port");
        let address = listener.local_addr().expect("its address");
        let state = Arc::new(State {
            leads_to: Mutex::default(),
            next: Mutex::new(Box::new(|| Fault::None)),
            blocked: watch::Sender::new(false),
            cuts: watch::Sender::new(0),
            connections: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let carrying = Arc::clone(&state);
        tokio::spawn(async move {
            while let Ok((agent, _)) = listener.accept().await {
                let state = Arc::clone(&carrying);
                // How a connection ends is no news here.
                tokio::spawn(async move { state.carry(agent).await });
            }
        });
        let road = Road { address, state };
        road.lead_to(url);
        road
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where connections go from now on.
    pub fn lead_to(&self, url: &str) {
        let authority = url.strip_prefix("http://").expect("plain HTTP");
        *self.state.leads_to.lock().expect("no test panics inside") = authority.to_owned();
    }

    /// What is wrong with connections from now on.
    pub fn be(&self, next: impl FnMut() -> Fault + Send + 'static) {
        *self.state.next.lock().expect("no test panics inside") = Box::new(next);
    }

    /// Breaks all connections and takes no other, or does so no more.
    pub fn block(&self, blocked: bool) {
        self.state.blocked.send_replace(blocked);
    }

    /// Breaks all connections.
    pub fn cut(&self) {
        self.state.cuts.send_modify(|cuts| *cuts += 1);
    }

    pub fn connections(&self) -> u64 {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Bytes that were carried, both ways.
    pub fn bytes(&self) -> u64 {
        self.state.bytes.load(Ordering::Relaxed)
    }
}

impl State {
    async fn carry(&self, agent: TcpStream) -> io::Result<()> {
        self.connections.fetch_add(1, Ordering::Relaxed);
        let fault = (self.next.lock().expect("no test panics inside"))();
        let (mut blocked, mut cuts) = (self.blocked.subscribe(), self.cuts.subscribe());
        tokio::select! {
            _ = blocked.wait_for(|blocked| *blocked) => Ok(()),
            _ = cuts.changed() => Ok(()),
            ended = self.with(agent, fault) => ended,
        }
    }

    async fn with(&self, agent: TcpStream, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Refused => return Ok(()),
            Fault::Deaf(time) => {
                lasts(time).await;
                return Ok(());
            }
            _ => {}
        }
        let address = self.leads_to.lock().expect("no test panics inside").clone();
        let server = TcpStream::connect(&address).await?;
        let copy = match fault {
            Fault::Twice => Some(TcpStream::connect(&address).await?),
            _ => None,
        };
        for stream in [&agent, &server] {
            stream.set_nodelay(true)?;
        }
        let (agent_says, agent_hears) = agent.into_split();
        let (server_says, server_hears) = server.into_split();
        let left = AtomicU64::new(match fault {
            Fault::Cut(bytes) | Fault::HalfOpen(bytes, _) => bytes,
            _ => u64::MAX,
        });
        // Both ends stay open until this returns.
        let mut up = Way { from: agent_says, to: vec![server_hears], left: &left, fault };
        let mut down = Way { from: server_says, to: vec![agent_hears], left: &left, fault };
        let mut _unread = None;
        if let Some(copy) = copy {
            let (answers, hears) = copy.into_split();
            up.to.push(hears);
            _unread = Some(answers);
        }
        tokio::select! {
            _ = up.pass(&self.bytes) => {}
            _ = down.pass(&self.bytes) => {}
        }
        if let Fault::HalfOpen(_, time) = fault
            && left.load(Ordering::Relaxed) == 0
        {
            lasts(time).await;
        }
        Ok(())
    }
}

/// One direction.
struct Way<'a> {
    from: OwnedReadHalf,
    /// The first counts.
    to: Vec<OwnedWriteHalf>,
    /// Bytes that are carried yet, of both directions.
    left: &'a AtomicU64,
    fault: Fault,
}

impl Way<'_> {
    /// Carries until one side ends, or the fault shows.
    async fn pass(&mut self, carried: &AtomicU64) -> io::Result<Infallible> {
        let over = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let mut buffer = vec![0; 16 * 1024];
        if let Fault::Slow(most, _) = self.fault {
            buffer.truncate(most);
        }
        loop {
            let read = self.from.read(&mut buffer).await?;
            if read == 0 {
                return Err(over());
            }
            if let Fault::Slow(_, late) = self.fault {
                lasts(late).await;
            }
            let take = |left: u64| Some(left - left.min(read as u64));
            let left = self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).unwrap_or(0);
            let fits = usize::try_from(left).unwrap_or(usize::MAX).min(read);
            for (number, to) in self.to.iter_mut().enumerate() {
                // Nobody minds when the copy is hung up on.
                let written = to.write_all(&buffer[..fits]).await;
                if number == 0 {
                    written?;
                }
            }
            carried.fetch_add(fits as u64, Ordering::Relaxed);
            if fits < read || left == fits as u64 {
                return Err(over());
            }
        }
    }
}

/// The fault itself takes time.
async fn lasts(time: Duration) {
    let _ = tokio::time::timeout(time, std::future::pending::<()>()).await;
}
