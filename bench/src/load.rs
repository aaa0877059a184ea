//! Runs requests over N connections, one thread each, and takes the time. Invariant: every load is bounded in
//! count by its requests and in time by its limit, and one unexpected answer fails the whole load.

use std::net::SocketAddr;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::http::{Body, Connection, Request};

/// What a load did: answers, the wall time from the common start to the last answer, body bytes read, and the
/// time of each call in seconds.
pub struct Outcome {
    pub done: usize,
    pub seconds: f64,
    pub bytes: u64,
    pub calls: Vec<f64>,
}

impl Outcome {
    pub fn per_second(&self) -> f64 {
        self.done as f64 / self.seconds.max(1e-9)
    }

    /// The time in seconds that `share` of the calls did not exceed.
    pub fn quantile(&self, share: f64) -> f64 {
        let mut calls = self.calls.clone();
        calls.sort_by(f64::total_cmp);
        let at = ((calls.len() as f64 - 1.0) * share).round().max(0.0) as usize;
        calls.get(at).copied().unwrap_or(f64::NAN)
    }
}

/// What the connections send.
pub enum Plan<'a> {
    /// Each connection sends its own requests once.
    Lanes(&'a [Vec<Request>]),
    /// This many connections send the same request until the time is over.
    Repeat(usize, &'a Request),
}

impl Plan<'_> {
    fn lanes(&self) -> usize {
        match self {
            Self::Lanes(lanes) => lanes.len(),
            Self::Repeat(count, _) => *count,
        }
    }

    fn request(&self, lane: usize, number: usize) -> Option<&Request> {
        match self {
            Self::Lanes(lanes) => lanes[lane].get(number),
            Self::Repeat(_, request) => Some(request),
        }
    }
}

/// Runs `plan` against `address` for at most `limit` (a call under way is finished). All connections are open
/// before the clock starts. Fails with the first answer that is not 2xx.
pub fn run(address: SocketAddr, plan: &Plan<'_>, limit: Duration) -> Result<Outcome> {
    let lanes = plan.lanes();
    let start = Barrier::new(lanes + 1);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let lane = |number| {
            let (start, stop) = (&start, &stop);
            move || run_lane(address, plan, number, start, stop, limit)
        };
        let threads: Vec<_> = (0..lanes).map(|number| scope.spawn(lane(number))).collect();
        start.wait();
        let began = Instant::now();
        let mut total = Outcome { done: 0, seconds: 0.0, bytes: 0, calls: Vec::new() };
        let mut failure = None;
        for thread in threads {
            match thread.join() {
                Ok(Ok((bytes, calls))) => {
                    total.bytes += bytes;
                    total.done += calls.len();
                    total.calls.extend(calls);
                }
                Ok(Err(error)) => failure = failure.or(Some(error)),
                Err(_) => failure = failure.or(Some("a thread of the load generator panicked".into())),
            }
        }
        total.seconds = began.elapsed().as_secs_f64();
        failure.map_or(Ok(total), Err)
    })
}

fn run_lane(
    address: SocketAddr,
    plan: &Plan<'_>,
    lane: usize,
    start: &Barrier,
    stop: &AtomicBool,
    limit: Duration,
) -> Result<(u64, Vec<f64>)> {
    let connection = Connection::open(address);
    start.wait();
    let began = Instant::now();
    let work = || {
        let mut connection = connection?;
        let mut calls = Vec::new();
        let mut bytes = 0;
        while let Some(request) = plan.request(lane, calls.len()) {
            let sent = Instant::now();
            if stop.load(Ordering::Relaxed) || sent - began > limit {
                break;
            }
            let answer = connection.send(request, Body::Drop)?.success("a call under load")?;
            bytes += answer.bytes;
            calls.push(sent.elapsed().as_secs_f64());
        }
        Ok((bytes, calls))
    };
    work().inspect_err(|_| stop.store(true, Ordering::Relaxed))
}
