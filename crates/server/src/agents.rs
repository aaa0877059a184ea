//! Agents that are connected here, and the key that signs what they are asked to do. Whoever has something for a machine
//! wakes it; a machine has one connection, which another may replace once it does not answer any more.

pub mod door;
pub mod talk;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD};
use jumpbag_wire::time::Timestamp;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore, watch};

use crate::catalog::{Catalog, actions, audit, checkpoints, machines};
use crate::error::Error;

/// The key that agents know this installation by: Ed25519, kept in the catalog.
pub struct AgentKey {
    pair: Ed25519KeyPair,
    public: String,
}

impl AgentKey {
    /// The key that is there, or a new one. Of several nodes that make one at once the first makes it.
    pub async fn ensure(catalog: &Catalog, tenant: &str, now: Timestamp) -> Result<AgentKey, Error> {
        let name = format!("jumpbag/{tenant}/agents");
        if let Some(key) = AgentKey::find(catalog, &name).await? {
            return Ok(key);
        }
        let pair = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
        let pair = pair.map_err(|_| Error::Internal("no key for the agents could be made".into()))?;
        let (pem, wanted) = (crate::auth::keys::pem(pair.as_ref()), name.clone());
        catalog
            .write(move |tx| {
                Box::pin(
                    async move { Ok::<_, Error>(checkpoints::insert_key(tx, &wanted, &pem, now).await?) },
                )
            })
            .await?;
        let key = AgentKey::find(catalog, &name).await?;
        key.ok_or_else(|| Error::Internal("the key of the agents is gone again".into()))
    }

    async fn find(catalog: &Catalog, name: &str) -> Result<Option<AgentKey>, Error> {
        let name = name.to_owned();
        let pem = catalog
            .read(move |tx| Box::pin(async move { Ok::<_, Error>(checkpoints::key(tx, &name).await?) }));
        let bad = || Error::Internal("the key of the agents is no Ed25519 key".into());
        let Some(pem) = pem.await? else { return Ok(None) };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes()).map_err(|_| bad())?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).map_err(|_| bad())?;
        let public = BASE64.encode(pair.public_key());
        Ok(Some(AgentKey { pair, public }))
    }

    /// In base64.
    pub fn public(&self) -> &str {
        &self.public
    }

    /// In base64 that fits into a token.
    pub fn public_url_safe(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.pair.public_key())
    }

    pub fn sign(&self, text: &str) -> Vec<u8> {
        self.pair.sign(text.as_bytes()).as_ref().to_vec()
    }

    /// Whether a signature is one of this key.
    pub fn verify(&self, text: &str, signature: &[u8]) -> bool {
        UnparsedPublicKey::new(&ED25519, self.pair.public_key()).verify(text.as_bytes(), signature).is_ok()
    }
}

/// Who is connected to this node.
pub struct Hub {
    connected: Mutex<Lines>,
    places: Arc<Semaphore>,
    pub door: Arc<door::Door>,
}

#[derive(Default)]
struct Lines {
    of: HashMap<String, Arc<Line>>,
    /// The server stops.
    closed: bool,
}

/// The line to one connected agent.
#[derive(Default)]
pub struct Line {
    /// There may be something to do.
    pub wake: Notify,
    /// Another connection took its place, the machine was cut off, or the server stops.
    pub ended: Notify,
    /// Somebody wants to know whether it is alive.
    pub probe: Notify,
    asked: AtomicU64,
    answered: AtomicU64,
    gone: AtomicBool,
    /// One of the three changed.
    changed: Notify,
}

/// How long a connection may take to show that it is alive.
const ANSWER: Duration = Duration::from_secs(5);

impl Line {
    /// What to ping with.
    pub fn question(&self) -> [u8; 8] {
        self.asked.load(Ordering::SeqCst).to_be_bytes()
    }

    /// What came back from a ping.
    pub fn answer(&self, payload: &[u8]) {
        if let Ok(number) = payload.try_into().map(u64::from_be_bytes) {
            self.answered.fetch_max(number, Ordering::SeqCst);
            self.changed.notify_waiters();
        }
    }

    /// Whether it answers a ping that goes out now; not if it ends meanwhile.
    async fn answers(&self) -> bool {
        let number = self.asked.fetch_add(1, Ordering::SeqCst) + 1;
        self.probe.notify_one();
        let asking = async {
            loop {
                let changed = self.changed.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if self.gone.load(Ordering::SeqCst) {
                    return false;
                }
                if self.answered.load(Ordering::SeqCst) >= number {
                    return true;
                }
                changed.await;
            }
        };
        tokio::time::timeout(ANSWER, asking).await.unwrap_or(false)
    }
}

impl Hub {
    /// For so many agents at a time.
    pub fn new(places: usize) -> Hub {
        let places = Arc::new(Semaphore::new(places.min(Semaphore::MAX_PERMITS)));
        Hub { connected: Mutex::default(), places, door: Arc::default() }
    }

    /// A place for one more agent, until it is dropped.
    ///
    /// # Errors
    /// `Crowded` when all are taken.
    pub fn place(&self) -> Result<OwnedSemaphorePermit, Error> {
        Arc::clone(&self.places).try_acquire_owned().map_err(|_| Error::Crowded)
    }

    /// A line for a machine that has just proven who it is. One that it had before ends.
    pub fn connect(self: &Arc<Hub>, machine: &str) -> Connected {
        let line = Arc::new(Line::default());
        // Whatever waits is looked for at once.
        line.wake.notify_one();
        let mut lines = self.lines();
        if lines.closed {
            line.ended.notify_one();
        }
        let before = lines.of.insert(machine.to_owned(), Arc::clone(&line));
        drop(lines);
        if let Some(before) = before {
            before.ended.notify_one();
        }
        Connected { hub: Arc::clone(self), machine: machine.to_owned(), line }
    }

    /// Ends all lines, and those that are made from now on.
    pub fn close(&self) {
        let mut lines = self.lines();
        lines.closed = true;
        lines.of.values().for_each(|line| line.ended.notify_one());
    }

    /// Whether lines end because the server stops.
    pub fn is_closed(&self) -> bool {
        self.lines().closed
    }

    /// The machines that are connected.
    pub fn machines(&self) -> Vec<String> {
        self.lines().of.keys().cloned().collect()
    }

    /// Whether a machine has a connection here that is alive.
    pub async fn answers(&self, machine: &str) -> bool {
        let line = self.lines().of.get(machine).cloned();
        match line {
            Some(line) => line.answers().await,
            None => false,
        }
    }

    /// There may be something to do for a machine.
    pub fn wake(&self, machine: &str) {
        if let Some(line) = self.lines().of.get(machine) {
            line.wake.notify_one();
        }
    }

    /// Ends a machine's connection.
    pub fn cut(&self, machine: &str) {
        if let Some(line) = self.lines().of.remove(machine) {
            line.ended.notify_one();
        }
    }

    pub fn len(&self) -> usize {
        self.lines().of.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Lines> {
        self.connected.lock().unwrap_or_else(|e| e.into_inner())
    }

    /// Wakes the machines that a change concerns and cuts off those that it takes out of use, whichever process made
    /// it, until `stop` turns true: then all lines end.
    pub async fn follow(
        &self,
        catalog: &Catalog,
        mut news: watch::Receiver<crate::news::Known>,
        mut stop: watch::Receiver<bool>,
    ) {
        let mut seen = news.borrow().last;
        loop {
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return self.close(),
                changed = news.changed() => if changed.is_err() { return },
            }
            let after = seen;
            let waiting = catalog.read(move |tx| {
                Box::pin(async move {
                    let last = audit::last_change(tx).await?;
                    let revoked = machines::revoked_after(tx, after).await?;
                    Ok::<_, Error>((last, actions::touched(tx, after).await?, revoked))
                })
            });
            match waiting.await {
                Ok((last, machines, revoked)) => {
                    seen = last;
                    for machine in revoked {
                        self.cut(&machine);
                    }
                    for machine in machines {
                        self.wake(&machine);
                    }
                }
                Err(e) => {
                    tracing::warn!(error = e.chain(), "agents: cannot look for work; it is tried again")
                }
            }
        }
    }
}

/// A machine's line, for as long as its connection lives.
pub struct Connected {
    hub: Arc<Hub>,
    pub machine: String,
    pub line: Arc<Line>,
}

impl Drop for Connected {
    fn drop(&mut self) {
        self.line.gone.store(true, Ordering::SeqCst);
        self.line.changed.notify_waiters();
        let mut lines = self.hub.lines();
        if lines.of.get(&self.machine).is_some_and(|line| Arc::ptr_eq(line, &self.line)) {
            lines.of.remove(&self.machine);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::Arc;

    use futures_util::FutureExt as _;

    use super::Hub;

    #[test]
    fn the_newest_connection_counts_and_leaves_nothing_behind() {
        let hub = Arc::new(Hub::new(9));
        let first = hub.connect("m");
        let second = hub.connect("m");
        assert!(first.line.ended.notified().now_or_never().is_some());
        drop(first);
        assert_eq!(hub.len(), 1);
        assert!(second.line.wake.notified().now_or_never().is_some(), "it looks for work at once");
        hub.wake("m");
        hub.wake("m");
        assert!(second.line.wake.notified().now_or_never().is_some());
        assert!(second.line.wake.notified().now_or_never().is_none());
        drop(second);
        assert!(hub.is_empty());
    }

    #[tokio::test]
    async fn a_connection_is_alive_when_it_answers_what_it_is_asked_now() {
        let hub = Arc::new(Hub::new(9));
        assert!(!hub.answers("m").await, "there is none");
        let connected = hub.connect("m");
        let line = Arc::clone(&connected.line);
        let stale = line.question();
        let (mut one, mut two) = (pin!(hub.answers("m")), pin!(hub.answers("m")));
        assert!(one.as_mut().now_or_never().is_none());
        assert!(line.probe.notified().now_or_never().is_some());
        line.answer(&stale);
        line.answer(b"unasked");
        assert!(one.as_mut().now_or_never().is_none(), "what was asked before counts for nothing");
        assert!(two.as_mut().now_or_never().is_none());
        line.answer(&line.question());
        assert_eq!((one.now_or_never(), two.now_or_never()), (Some(true), Some(true)));
        let mut last = pin!(hub.answers("m"));
        assert!(last.as_mut().now_or_never().is_none());
        drop(connected);
        assert_eq!(last.now_or_never(), Some(false), "it ended, and is not waited for");
    }

    #[test]
    fn there_are_only_so_many_places() {
        let hub = Hub::new(1);
        let place = hub.place().unwrap();
        assert!(hub.place().is_err());
        drop(place);
        assert!(hub.place().is_ok());
    }

    #[test]
    fn when_it_closes_all_lines_end_and_those_that_come_later() {
        let hub = Arc::new(Hub::new(2));
        let early = hub.connect("a");
        assert!(early.line.ended.notified().now_or_never().is_none() && !hub.is_closed());
        hub.close();
        let late = hub.connect("b");
        for connected in [early, late] {
            assert!(connected.line.ended.notified().now_or_never().is_some(), "{}", connected.machine);
        }
        assert!(hub.is_closed());
    }
}
