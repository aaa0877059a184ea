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
use stateright::{Checker, HasDiscoveries, Model as _};

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

/// Each way that was not taken, and the promise that it breaks.
const FLAWS: [(Flaw, &str); 9] = [
    (Flaw::BeginsUnsynced, ONCE),
    (Flaw::ForgottenAtOnce, KEPT),
    (Flaw::EndsAreSaidOnce, ENDS),
    (Flaw::RecordedBeforeCommit, KEPT),
    (Flaw::CountsAgain, COUNTED),
    (Flaw::StaleStatus, FINAL),
    (Flaw::LateFetchHangsUp, ENDS),
    (Flaw::MoreOutputIsMissing, ENDS),
    (Flaw::BegunBeforeIsNotFollowed, ENDS),
];

/// The shortest run in which a flaw breaks a promise, of one action or of two.
fn violation(flaw: Flaw, property: &'static str) -> Option<(bool, Vec<Step>)> {
    [true, false].into_iter().find_map(|one_action| {
        let checker = Protocol::new(one_action, 1, Some(flaw)).checker().threads(2).timeout(LIMIT);
        let found = HasDiscoveries::AnyOf(BTreeSet::from([property]));
        let path = checker.finish_when(found).spawn_bfs().join().discovery(property)?;
        Some((one_action, path.into_actions()))
    })
}

/// The model finds what it looks for; and where another way would break a promise the code does as the model has it.
#[tokio::test]
async fn heavy_each_other_way_breaks_a_promise() {
    let home = Home::new(Timestamp::now()).await;
    for (flaw, breaks) in FLAWS {
        let Some((one_action, steps)) = violation(flaw, breaks) else {
            panic!("{flaw:?} does not break: {breaks}");
        };
        eprintln!("{flaw:?}: {steps:?}");
        let model = Protocol::new(one_action, 1, None);
        let mut steps = steps.into_iter();
        // Some of them do not come to pass without the flaw.
        let choose = |state: &State| steps.find(|step| model.possible(state).contains(step));
        follow(&home, &model, choose).await;
    }
}

/// Random runs of the model, each led to its end, do the same in the code.
#[tokio::test]
async fn what_the_model_does_the_code_does() {
    let home = Home::new(Timestamp::now()).await;
    let (mut steps, mut kinds) = (0, BTreeSet::new());
    for seed in 0..RUNS {
        let model = Protocol::new(seed % 2 == 0, 2, None);
        let mut random = Random(seed);
        let mut length = 20 + random.below(60);
        let choose = |state: &State| {
            length = length.checked_sub(1)?;
            let mut possible = Vec::new();
            match random.below(6) {
                0 => possible = model.possible(state),
                _ => model.progress(state, &mut possible),
            }
            (!possible.is_empty()).then(|| possible[random.below(possible.len())])
        };
        let run = follow(&home, &model, choose).await;
        steps += run.len();
        kinds.extend(run.iter().map(|step| format!("{step:?}")));
    }
    eprintln!("{RUNS} runs, {steps} steps of {} kinds", kinds.len());
    assert!(kinds.len() >= 25, "some steps were never taken: {kinds:?}");
}

/// Takes these steps in the model and in the code, then those to the end; all of them.
async fn follow(home: &Home, model: &Protocol, mut choose: impl FnMut(&State) -> Option<Step>) -> Vec<Step> {
    let mut world = World::new(home, model.one_action).await;
    let (mut state, mut run, mut chosen) = (State::new(model.faults), Vec::new(), true);
    loop {
        let step = chosen.then(|| choose(&state)).flatten();
        chosen = step.is_some();
        let Some(step) = step.or_else(|| model.goes_on(&state)) else { break };
        run.push(step);
        assert!(run.len() < 300, "it does not end: {run:?}");
        state = model.apply(&state, step).expect("a step that is possible");
        let told = AssertUnwindSafe(async {
            world.take(step).await;
            world.compare(&state, model).await;
        });
        assert!(told.catch_unwind().await.is_ok(), "{run:?}\nleads to {state:#?}");
    }
    assert_eq!(world.last_words(), None, "{run:?}");
    run
}

/// So many runs take a few seconds.
const RUNS: u64 = 100;

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
