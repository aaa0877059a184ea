//! Agents and the server are killed with SIGKILL at random moments while short actions go through: no command runs
//! twice, no result is lost, every action ends.
//!
//! `TEST_KILLS` says how often (20), `TEST_SEED` repeats the choices of a run, not its timing.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use proptest::prelude::RngExt as _;

use super::Rig;
use super::load::{Agents, Load};
use crate::live_response::options;
use crate::support::dice::{kills, rng, seed};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn heavy_kills_of_agents_and_server_start_nothing_twice_and_lose_no_result() {
    let mut rng = rng(seed(), 11);
    let begun = Instant::now();
    let rig = Rig::start(
        options().set("queue_actions", true).set("live_response_sessions", 100_000).set("log_level", "warn"),
    )
    .await;
    let mut agents = Vec::new();
    for _ in 0..3 {
        agents.push(rig.agent().await);
    }
    let machines: Vec<String> = agents.iter().map(|agent| agent.machine.clone()).collect();
    let load = Load::new(&rig).await;
    let (mut servers, mut killed) = (0, 0);
    let killing = async {
        for _ in 0..kills() {
            let moment = Duration::from_millis(rng.random_range(1..250));
            let _ = tokio::time::timeout(moment, std::future::pending::<()>()).await;
            let number = rng.random_range(0..agents.len());
            // The server alone, an agent alone, and now and then both.
            let dice = rng.random_range(0..10);
            if dice >= 2 {
                agents[number].kill().await;
                killed += 1;
            }
            if dice < 3 {
                rig.kill_server().await;
                servers += 1;
            }
            if dice >= 2 {
                agents[number].start();
            }
        }
        load.stop();
    };
    let feeding = join_all(machines.iter().map(|machine| load.feed(machine, u64::MAX)));
    tokio::join!(killing, feeding);
    let tally = load.verify(Agents::AreKilled).await;
    eprintln!("{killed} agents and {servers} servers killed in {:?}: {tally:?}", begun.elapsed());
    assert!(tally.succeeded > kills() as usize / 4, "hardly anything was done");
    assert!(rig.bag.stop().await.success());
    let (status, said, stderr) = rig.bag.command(&["check", "--repair"]).await;
    assert!(status.success() && said.contains(" 0 problems"), "{said}{stderr}");
}
