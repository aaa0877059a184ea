//! Between agents and the server everything goes wrong that can go wrong with connections: every action succeeds all the
//! same, once.
//!
//! `TEST_KILLS` (20) times three actions are made, `TEST_SEED` repeats the choices of a run.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proptest::prelude::RngExt as _;
use proptest::test_runner::TestRng;

use super::Rig;
use super::load::{Agents, Load};
use super::road::Fault;
use crate::live_response::{options, refusals};
use crate::support::dice::{kills, rng, seed};

/// What is wrong with the next connection.
fn fault(rng: &mut TestRng) -> Fault {
    // As many short distances as long ones: inside the handshake, inside a message, inside a large output.
    let bytes = 1 << rng.random_range(4..22);
    let bytes = rng.random_range(bytes..2 * bytes);
    let time = Duration::from_millis(rng.random_range(20..600));
    match rng.random_range(0..16) {
        0 => Fault::Refused,
        1 => Fault::Deaf(time),
        2..=6 => Fault::Cut(bytes),
        7..=10 => Fault::HalfOpen(bytes, time),
        11..=12 => Fault::Slow(rng.random_range(1..4000), Duration::from_millis(rng.random_range(1..8))),
        13 => Fault::Twice,
        _ => Fault::None,
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_actions_go_on_and_end_over_bad_connections() {
    let mut rng = rng(seed(), 12);
    let begun = Instant::now();
    let rig = Rig::start(
        options().set("queue_actions", true).set("live_response_sessions", 100_000).set("log_level", "warn"),
    )
    .await;
    let agents = [rig.agent().await, rig.agent().await];
    let load = Load::new(&rig).await;
    rig.road.be(move || fault(&mut rng));
    // Connections that are there were good ones, and a slow one that stays would never bring what is large.
    let road = rig.road.clone();
    let cutting = tokio::spawn(async move {
        let mut ticks = tokio::time::interval(Duration::from_millis(700));
        loop {
            ticks.tick().await;
            road.cut();
        }
    });
    join_all(agents.iter().map(|agent| load.feed(&agent.machine, 3 * u64::from(kills())))).await;
    let tally = load.verify(Agents::Live).await;
    cutting.abort();
    let (connections, bytes) = (rig.road.connections(), rig.road.bytes());
    eprintln!("{connections} connections, {bytes} bytes in {:?}: {tally:?}", begun.elapsed());
    assert!(connections > u64::from(kills()) / 2, "hardly anything went wrong: {connections} connections");
    assert_eq!(tally.succeeded, load.made());
}

#[tokio::test]
async fn a_proof_that_arrives_twice_counts_once() {
    let rig = Rig::start(options()).await;
    let mut agent = rig.agent().await;
    let client = rig.operator().await;
    agent.stop().await;
    rig.road.be(|| Fault::Twice);
    agent.start();
    client.upload("a.sh", "#!/bin/sh\necho here\n").await.expect_status(200);
    let action = super::super::act(&client, &agent.machine, &[super::super::script("a.sh")]).await;
    super::super::reaches(&client, &action, "Succeeded").await;
    let told = crate::support::poll::eventually("the copy is refused", async || {
        Some(refusals(&client).await).filter(|told| !told.is_empty())
    })
    .await;
    assert!(told.iter().all(|why| why.contains("signature is not its own")), "{told:?}");
}
