//! Agent, server and a connection that is lost at any time, as a model of which every reachable state is looked at.
//!
//! | Step | Code |
//! |------|------|
//! | `Connect` | `Courier::connection` up to the welcome: the newest session counts, the one before may still hear what was sent to it |
//! | `Lose`, `Leave` | the agent sees that its connection is gone, and the server, at any time later; what was on its way is lost |
//! | `Look` | the session of the newest connection was woken: `Talk::look` |
//! | `ServerHears` | a session takes a message: `Talk::hear` or `Talk::keep`, and the transaction within |
//! | `AgentHears`, `AgentSays` | `Duty::hear`, and a free worker takes what came; `Duty::next_frame` until there is none |
//! | `SayAgain` | an end that was not recorded is said again after a minute |
//! | `Take`, `Start`, `Begin`, `PutOut`, `EndsWell`, `GiveUp` | the worker: takes a command and fetches its content; writes down that it starts; begins it when that is on the disk; its output; its end; that it is stopped, or too late |
//! | `Sync` | what was written is on the agent's disk |
//! | `Kill`, `PowerLoss` | the agent ends and begins anew; with its machine, what was not synced is lost: of the journal, of the output, or of both |
//! | `ServerCrash` | what is committed stays, connections end |
//! | `Cancel`, `Late`, `Expire` | a client, the clock, the timer |
//!
//! There are two commands, of one action or of two that wait in line. The first has a unit of output. Lost connections and
//! crashes are so many at most in one run: that bounds the model, and nothing in the code counts them.

mod agent;
mod server;
pub mod state;

use std::collections::HashSet;
use std::hash::{BuildHasher as _, RandomState};
use std::sync::{Arc, Mutex};

use state::{COMMANDS, Command, Disk, Record, Row, Session, Stage, State, Status};
use stateright::{Model, Property};

/// The model, as it is or with one flaw.
#[derive(Clone)]
pub struct Protocol {
    pub one_action: bool,
    pub faults: u8,
    pub flaw: Option<Flaw>,
    /// States from which everything comes to an end, by their hashes.
    ending: Arc<(RandomState, Mutex<HashSet<u64>>)>,
}

/// What could have been done another way, and some of it was.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// A command begins while its record in the journal is on its way to the disk.
    BeginsUnsynced,
    /// The agent forgets a command when it has ended.
    ForgottenAtOnce,
    /// An end is said once, whatever becomes of the connection.
    EndsAreSaidOnce,
    /// The server answers that an end is recorded before that is committed.
    RecordedBeforeCommit,
    /// An end counts each time.
    CountsAgain,
    /// The status of an action is changed by what it was before others changed it.
    StaleStatus,
    /// Whoever asks for the content of a command that is over is hung up on.
    LateFetchHangsUp,
    /// An end does not count where the server has more output than the machine.
    MoreOutputIsMissing,
    /// What began on an earlier connection is not told when it is cancelled.
    BegunBeforeIsNotFollowed,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    Connect,
    Lose,
    Leave(usize),
    Look,
    ServerHears(usize),
    Commit(usize),
    AgentHears,
    AgentSays,
    SayAgain,
    Start(Command),
    Begin(Command),
    PutOut(Command),
    EndsWell(Command),
    GiveUp(Command),
    Kill,
    PowerLoss { journal: bool, output: bool },
    ServerCrash,
    Cancel(usize),
    Late,
    Expire(usize),
}

pub const ONCE: &str = "a command starts at most once";
pub const COUNTED: &str = "an end counts once";
pub const FINAL: &str = "a final status stays";
pub const KEPT: &str = "the agent forgets only what the server has";
pub const WHOLE: &str = "what succeeded ran, and its output is here";
pub const ENDS: &str = "everything comes to an end when nothing more goes wrong";

/// More than it takes from any state.
const DRAINED: usize = 200;

impl Protocol {
    pub fn new(one_action: bool, faults: u8, flaw: Option<Flaw>) -> Protocol {
        Protocol { one_action, faults, flaw, ending: Arc::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// All that may happen.
    pub fn possible(&self, state: &State) -> Vec<Step> {
        let mut steps = Vec::new();
        self.steps(state, &mut steps);
        steps
    }

    fn steps(&self, state: &State, steps: &mut Vec<Step>) {
        self.progress(state, steps);
        if state.faults > 0 {
            if state.going.is_some() {
                steps.push(Step::Lose);
            }
            steps.extend([Step::Kill, Step::ServerCrash]);
            let (journal, output) =
                (state.written.journal != state.synced.journal, state.written.output != state.synced.output);
            for (journal, output) in [(journal, output), (journal, false), (false, output)] {
                // What waits in line meets less: its number of states is bounded so.
                if self.one_action && (journal || output) {
                    steps.push(Step::PowerLoss { journal, output });
                }
            }
        }
        for slot in 0..2 {
            if state.sessions[slot].is_some() && (slot == 1 || state.going.is_none()) {
                steps.push(Step::Leave(slot));
            }
        }
        if !state.catalog.actions[0].is_final() {
            steps.push(Step::Cancel(0));
        }
        if self.one_action {
            if state.entries[0].is_some_and(|entry| entry.stage == Stage::Running && !entry.stopped) {
                steps.push(Step::GiveUp(0));
            }
            if !state.late {
                steps.push(Step::Late);
            }
        }
    }

    /// What goes on by itself when nothing goes wrong. A command that is cancelled runs until it is stopped.
    pub fn progress(&self, state: &State, steps: &mut Vec<Step>) {
        for action in 0..self.actions() {
            if state.late && state.catalog.actions[action] == Status::Pending {
                steps.push(Step::Expire(action));
            }
        }
        for slot in 0..2 {
            let Some(session) = &state.sessions[slot] else { continue };
            if session.uncommitted.is_some() {
                steps.push(Step::Commit(slot));
            } else if !session.coming.is_empty() {
                steps.push(Step::ServerHears(slot));
            } else if slot == 1 || state.going.is_none() {
                steps.push(Step::Leave(slot));
            }
        }
        if state.sessions[0].as_ref().is_some_and(|session| session.wake && session.uncommitted.is_none()) {
            steps.push(Step::Look);
        }
        if state.going.as_ref().is_some_and(|going| !going.is_empty()) {
            steps.push(Step::AgentHears);
        }
        self.work(state, steps);
        if state.going.is_none() {
            steps.push(Step::Connect);
        } else if self.next_frame(&mut state.clone()).is_some() {
            steps.push(Step::AgentSays);
        } else if steps.is_empty()
            && !self.has(Flaw::EndsAreSaidOnce)
            && state.entries.iter().flatten().any(|entry| entry.said_end)
        {
            steps.push(Step::SayAgain);
        }
    }

    fn work(&self, state: &State, steps: &mut Vec<Step>) {
        for command in 0..COMMANDS {
            let Some(entry) = state.entries[command] else { continue };
            match entry.stage {
                Stage::Waiting | Stage::Ended(_) => {}
                Stage::Fetching { .. } | Stage::Ready if entry.stopped || state.late => {
                    steps.push(Step::GiveUp(command));
                }
                Stage::Fetching { .. } => {}
                Stage::Ready => steps.push(Step::Start(command)),
                Stage::Starting => steps.push(Step::Begin(command)),
                Stage::Running if entry.stopped => steps.push(Step::GiveUp(command)),
                // A command that is cancelled runs until it is stopped.
                Stage::Running if state.catalog.actions[self.action_of(command)].is_final() => {}
                Stage::Running => {
                    if command == 0 && state.written.output[command] == 0 {
                        steps.push(Step::PutOut(command));
                    }
                    steps.push(Step::EndsWell(command));
                }
            }
        }
    }

    pub fn apply(&self, last: &State, step: Step) -> Option<State> {
        let mut state = last.clone();
        match step {
            Step::Connect => {
                let before = state.sessions[0].take();
                state.sessions[1] = before.filter(|session| !session.coming.is_empty());
                state.sessions[0] = Some(Session { wake: true, ..Session::default() });
                state.going = Some(Default::default());
                self.begin_again(&mut state);
            }
            Step::Lose => {
                state.going = None;
                state.faults -= 1;
            }
            Step::Leave(slot) => {
                state.sessions[slot].take()?;
            }
            Step::Look => {
                let mut session = state.sessions[0].take()?;
                session.wake = false;
                let words = self.look(&mut state, &mut session);
                state.sessions[0] = Some(session);
                state.going.iter_mut().for_each(|going| going.extend(&words));
            }
            Step::ServerHears(slot) => self.server_hears(&mut state, slot)?,
            Step::Commit(slot) => {
                let word = state.sessions[slot].as_mut()?.uncommitted.take()?;
                if let state::ToServer::Finished(command, end) = word {
                    self.finished(&mut state, command, end);
                }
            }
            Step::AgentHears => {
                let word = state.going.as_mut()?.pop_front()?;
                self.agent_hears(&mut state, word);
            }
            Step::AgentSays => {
                while let Some(word) = self.next_frame(&mut state) {
                    if let Some(session) = &mut state.sessions[0] {
                        session.coming.push_back(word);
                    }
                }
            }
            Step::SayAgain => state.entries.iter_mut().flatten().for_each(|entry| entry.said_end = false),
            Step::Kill => {
                state.faults -= 1;
                let left = state.written;
                self.restart(&mut state, left);
            }
            Step::PowerLoss { journal, output } => {
                state.faults -= 1;
                let left = Disk {
                    journal: if journal { state.synced.journal } else { state.written.journal },
                    output: if output { state.synced.output } else { state.written.output },
                };
                self.restart(&mut state, left);
                state.synced.output = state.written.output;
            }
            Step::ServerCrash => {
                state.faults -= 1;
                state.sessions = [None, None];
                state.going = None;
            }
            Step::Cancel(action) => self.end(&mut state, action, Status::Cancelled),
            Step::Late => state.late = true,
            Step::Expire(action) => self.end(&mut state, action, Status::TimeOut),
            worker => self.worker(&mut state, worker)?,
        }
        Some(state)
    }

    fn server_hears(&self, state: &mut State, slot: usize) -> Option<()> {
        let mut session = state.sessions[slot].take()?;
        let word = session.coming.pop_front()?;
        match self.hear(state, &mut session, word) {
            Some(words) => {
                // `finished` woke the newest session, which may be this one.
                session.wake |= slot == 0 && matches!(word, state::ToServer::Finished(..));
                state.sessions[slot] = Some(session);
                if slot == 0 {
                    state.going.iter_mut().for_each(|going| going.extend(&words));
                }
            }
            None if slot == 0 => state.going = None,
            None => {}
        }
        Some(())
    }

    fn worker(&self, state: &mut State, step: Step) -> Option<()> {
        let (Step::Start(command)
        | Step::Begin(command)
        | Step::PutOut(command)
        | Step::EndsWell(command)
        | Step::GiveUp(command)) = step
        else {
            return None;
        };
        let entry = state.entries[command].as_mut()?;
        match step {
            Step::Start(_) => {
                entry.stage = Stage::Starting;
                state.written.journal[command] = Record::Started;
            }
            Step::Begin(_) => {
                entry.stage = Stage::Running;
                entry.started = true;
                if !self.has(Flaw::BeginsUnsynced) {
                    state.synced.journal = state.written.journal;
                }
                state.starts[command] = (state.starts[command] + 1).min(2);
            }
            Step::PutOut(_) => state.written.output[command] = 1,
            Step::EndsWell(_) => self.finish(state, command, true),
            _ => self.finish(state, command, false),
        }
        self.take(state);
        Some(())
    }

    /// What comes next when nothing more goes wrong; nothing when all is done.
    pub fn goes_on(&self, state: &State) -> Option<Step> {
        if self.is_done(state) {
            return None;
        }
        let mut steps = Vec::new();
        self.progress(state, &mut steps);
        steps.first().copied()
    }

    fn is_done(&self, state: &State) -> bool {
        state.entries.iter().all(Option::is_none)
            && state.catalog.actions[..self.actions()].iter().all(|status| status.is_final())
    }

    /// Whether everything comes to an end. What is known of states on the way is not found out again.
    fn ends(&self, state: &State) -> bool {
        let (hasher, ending) = &*self.ending;
        let (mut at, mut way) = (state.clone(), Vec::new());
        while !self.is_done(&at) {
            let hash = hasher.hash_one(&at);
            if ending.lock().expect("no panic inside").contains(&hash) {
                break;
            }
            way.push(hash);
            let Some(step) = self.goes_on(&at).filter(|_| way.len() < DRAINED) else { return false };
            at = self.apply(&at, step).unwrap_or(at);
        }
        ending.lock().expect("no panic inside").extend(way);
        true
    }

    fn is_whole(&self, state: &State) -> bool {
        (0..COMMANDS).all(|command| {
            let completed = state.catalog.rows[command] == Row::Completed;
            let succeeded = state.catalog.actions[self.action_of(command)] == Status::Succeeded;
            (!completed || state.starts[command] == 1 && state.counted[command] == 1)
                && (!succeeded || completed)
        })
    }
}

impl Model for Protocol {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State::new(self.faults)]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.steps(state, steps);
        steps.dedup();
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        self.apply(last, step).filter(|state| state != last)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(ONCE, |_, state: &State| state.starts.iter().all(|starts| *starts <= 1)),
            Property::always(COUNTED, |_, state: &State| state.counted.iter().all(|counted| *counted <= 1)),
            Property::always(FINAL, |model: &Protocol, state: &State| {
                let stays = |action: usize| {
                    state.finals[action].is_none_or(|status| state.catalog.actions[action] == status)
                };
                (0..model.actions()).all(stays)
            }),
            Property::always(KEPT, |_, state: &State| {
                let had = |command: Command| state.catalog.rows[command].has_ended();
                (0..COMMANDS)
                    .all(|command| state.written.journal[command] != Record::Recorded || had(command))
            }),
            Property::always(WHOLE, |model: &Protocol, state: &State| model.is_whole(state)),
            Property::always(ENDS, |model: &Protocol, state: &State| model.ends(state)),
            // What it takes for the rules to matter comes to pass.
            Property::sometimes("all goes well", |model: &Protocol, state: &State| {
                state.catalog.actions[..model.actions()].iter().all(|status| *status == Status::Succeeded)
            }),
            Property::sometimes("an end is heard by a session that is over", |_, state: &State| {
                let finished = |word: &state::ToServer| matches!(word, state::ToServer::Finished(..));
                state.sessions[1].as_ref().is_some_and(|session| session.coming.iter().any(finished))
            }),
            Property::sometimes(
                "the server has more output than the machine",
                |model: &Protocol, state: &State| {
                    let more = |command: Command| state.catalog.kept[command] > state.written.output[command];
                    !model.one_action
                        || (0..COMMANDS).any(|command| more(command) && state.entries[command].is_some())
                },
            ),
        ]
    }
}
