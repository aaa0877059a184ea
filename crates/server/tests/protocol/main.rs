//! The protocol between agent and server: a model of it, and the model held against the code of both.

mod model;
mod replay;

use std::collections::BTreeSet;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use jumpbag_wire::time::Timestamp;
use model::{COUNTED, ENDS, FINAL, Flaw, KEPT, ONCE, Protocol, Step, state::State};
use replay::{Home, World};
use stateright::{Checker, HasDiscoveries, Model as _, Path};

/// Longer than any of these takes.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn heavy_no_loss_and_no_crash_starts_twice_or_leaves_anything_open() {
    for (one_action, faults) in [(true, 1), (false, 1)] {
        let began = Instant::now();
        let checker =
            Protocol::new(one_action, faults, None).checker().threads(2).timeout(LIMIT).spawn_bfs().join();
        let (states, deep) = (checker.unique_state_count(), checker.max_depth());
        eprintln!(
            "one action: {one_action}: {states} states, up to {deep} steps deep, in {:?}",
            began.elapsed()
        );
        assert!(began.elapsed() < LIMIT, "not every state was looked at in time");
        checker.assert_properties();
    }
}

fn violation(flaw: Flaw, property: &'static str) -> Option<Path<State, Step>> {
    [true, false].into_iter().find_map(|one_action| {
        let checker = Protocol::new(one_action, 1, Some(flaw)).checker().threads(2).timeout(LIMIT);
        let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        checker.finish_when(found).spawn_bfs().join().discovery(property)
    })
}

/// The model finds what it looks for: each of these is another way to do it, and what that would break.
#[test]
fn heavy_each_other_way_breaks_a_promise() {
    for (flaw, breaks) in [
        (Flaw::BeginsUnsynced, ONCE),
        (Flaw::ForgottenAtOnce, KEPT),
        (Flaw::EndsAreSaidOnce, ENDS),
        (Flaw::RecordedBeforeCommit, KEPT),
        (Flaw::CountsAgain, COUNTED),
        (Flaw::StaleStatus, FINAL),
        (Flaw::LateFetchHangsUp, ENDS),
        (Flaw::MoreOutputIsMissing, ENDS),
        (Flaw::BegunBeforeIsNotFollowed, ENDS),
    ] {
        let Some(path) = violation(flaw, breaks) else { panic!("{flaw:?} does not break: {breaks}") };
        eprintln!("{flaw:?}: {:?}", path.into_actions());
    }
}

/// Random runs of the model, each led to its end, do the same in the code.
#[tokio::test]
async fn what_the_model_does_the_code_does() {
    let (mut runs, mut steps) = (0, 0);
    let mut taken = BTreeSet::new();
    let home = Home::new(Timestamp::now()).await;
    for seed in 0..RUNS {
        let model = Protocol::new(seed % 2 == 0, 1, None);
        let mut world = World::new(&home, model.one_action).await;
        let mut random = Random(seed);
        let (mut state, mut run) = (State::new(model.faults), Vec::new());
        let mut length = 20 + random.below(60);
        loop {
            let mut possible = Vec::new();
            match random.below(8) {
                0 => model.actions(&state, &mut possible),
                _ => model.progress(&state, &mut possible),
            }
            let step = match length {
                0 => model.goes_on(&state),
                _ if possible.is_empty() => model.goes_on(&state),
                _ => Some(possible[random.below(possible.len())]),
            };
            let Some(step) = step else { break };
            length = length.saturating_sub(1);
            run.push(step);
            taken.insert(format!("{step:?}"));
            assert!(run.len() < 300, "it does not end: {run:?}");
            state = model.apply(&state, step).expect("a step that is possible");
            let told = AssertUnwindSafe(async {
                world.take(step).await;
                world.compare(&state, &model).await;
            });
            if told.catch_unwind().await.is_err() {
                panic!("seed {seed}: {run:?}\nleads to {state:#?}");
            }
        }
        assert_eq!(world.last_words(), None, "seed {seed}: {run:?}");
        (runs, steps) = (runs + 1, steps + run.len());
    }
    eprintln!("{runs} runs, {steps} steps of {} kinds", taken.len());
    assert!(taken.len() >= 25, "some steps were never taken: {taken:?}");
}

/// So many runs take a few seconds.
const RUNS: u64 = 120;

/// The same numbers every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        // SplitMix64.
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % bound as u64) as usize
    }
}
