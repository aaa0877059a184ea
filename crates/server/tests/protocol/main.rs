//! The protocol between agent and server: a model of it, and the model held against the code of both.

mod model;

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use model::{COUNTED, ENDS, FINAL, Flaw, KEPT, ONCE, Protocol, Step, state::State};
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
