//! A proxy between agent and server that makes trouble.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

pub struct Proxy {
    pub address: SocketAddr,
    way: watch::Sender<Way>,
    /// Bytes after which a connection is cut, one number after the other.
    budgets: Vec<i64>,
    pub connections: AtomicUsize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Open,
    /// What there is is cut, and nothing is let in.
    Closed,
}

impl Proxy {
    /// Cuts the connections after so many bytes each, in both directions together; those after them live.
    pub async fn start(server: SocketAddr, budgets: Vec<i64>) -> Arc<Proxy> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let way = watch::Sender::new(Way::Open);
        let proxy = Arc::new(Proxy { address, way, budgets, connections: AtomicUsize::new(0) });
        let accepting = Arc::clone(&proxy);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let proxy = Arc::clone(&accepting);
                tokio::spawn(async move { proxy.pass(stream, server).await });
            }
        });
        proxy
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn set(&self, way: Way) {
        self.way.send_replace(way);
    }

    async fn pass(&self, from: TcpStream, server: SocketAddr) -> Option<()> {
        let number = self.connections.fetch_add(1, Ordering::SeqCst);
        let mut way = self.way.subscribe();
        let to = TcpStream::connect(server).await.ok()?;
        let budget = AtomicI64::new(self.budgets.get(number).copied().unwrap_or(i64::MAX));
        let (from_read, from_write) = from.into_split();
        let (to_read, to_write) = to.into_split();
        tokio::select! {
            _ = copy(from_read, to_write, &budget) => {}
            _ = copy(to_read, from_write, &budget) => {}
            _ = way.wait_for(|way| *way == Way::Closed) => {}
        }
        Some(())
    }
}

async fn copy(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    budget: &AtomicI64,
) -> Option<()> {
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = from.read(&mut buffer).await.ok().filter(|read| *read > 0)?;
        let left = budget.fetch_sub(read as i64, Ordering::SeqCst);
        let passes = read.min(usize::try_from(left).unwrap_or(0));
        to.write_all(&buffer[..passes]).await.ok()?;
        if passes < read {
            return None;
        }
    }
}
