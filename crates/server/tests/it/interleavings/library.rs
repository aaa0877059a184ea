//! The catalog, the blob store and those who use them, as far as bytes are concerned.

mod likeness;
mod state;

use likeness::alike;
pub use state::State;
use state::{Age, DIGESTS, Digest, KEYS, Key, MANY, Place, Sweeper, Uploader};
use stateright::{Model, Property};

/// The model, as it is or with one flaw.
#[derive(Debug, Clone)]
pub struct Storage {
    pub uploaders: usize,
    pub sweepers: usize,
    pub readers: usize,
    /// Whether some uploads are small.
    pub rows: bool,
    pub flaw: Option<Flaw>,
}

/// What could have been done another way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Flaw {
    /// A blob is named by its digest: one that is there is not written again.
    KeysFromDigests,
    /// A blob without a row goes at once.
    NoGraceForStaged,
    /// An upload may last longer than a blob waits for its row.
    EndlessUploads,
    /// An upload of which nobody knows whether it was committed takes its blob back.
    DiscardInDoubt,
    /// A version is committed before its blob is durable.
    RowBeforeBlob,
    /// A content goes with any of its versions.
    NoForeignKey,
    /// A blob that lost its content goes at once.
    NoGraceForGarbage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    Stage(usize, Digest, bool),
    Commit(usize),
    Lose(usize),
    Arrive(usize),
    Refuse(usize),
    Discard(usize),
    Again(Digest),
    Forget(Digest, u8),
    Pick(usize, Key),
    Remove(usize),
    Strike(usize),
    List(usize, Key),
    Check(usize),
    Clear(usize),
    Look(Digest),
    Done,
    CrashUploader(usize),
    CrashSweeper(usize),
    Hour,
    Day,
}

pub const CONTENT: &str = "every version has its bytes";
pub const COPY: &str = "what was looked at can be read";
const OWNED: &str = "a blob has one row at most";

impl Storage {
    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    fn stage(&self, state: &mut State, digest: Digest, in_blob: bool) -> Option<Uploader> {
        if !in_blob {
            return Some(Uploader::Staged(digest, Place::Row));
        }
        let key = match self.has(Flaw::KeysFromDigests) {
            true => digest,
            false => (0..KEYS).find(|key| !state.is_known(*key))?,
        };
        if !self.has(Flaw::RowBeforeBlob) {
            state.blobs[key].get_or_insert((digest, Age::New));
        }
        Some(Uploader::Staged(digest, Place::Blob(key)))
    }

    fn forget(&self, state: &mut State, digest: Digest, left: u8) {
        state.versions[digest] = left;
        if self.has(Flaw::NoForeignKey) || !state.is_needed(digest) {
            let freed = state.contents[digest].take();
            state.discard(freed);
        }
    }

    fn upload(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Stage(who, digest, in_blob) => {
                state.uploaders[who] = self.stage(state, digest, in_blob)?;
            }
            Step::Commit(who) | Step::Lose(who) => {
                let Uploader::Staged(digest, place) = state.uploaders[who] else { return None };
                state.commit(digest, place);
                state.uploaders[who] = match (step, place) {
                    (_, Place::Blob(key)) if self.has(Flaw::RowBeforeBlob) => Uploader::Late(digest, key),
                    (Step::Lose(..), Place::Blob(key)) if self.has(Flaw::DiscardInDoubt) => {
                        Uploader::Refused(key)
                    }
                    _ => Uploader::Idle,
                };
            }
            Step::Arrive(who) => {
                let Uploader::Late(digest, key) = state.uploaders[who] else { return None };
                state.blobs[key].get_or_insert((digest, Age::New));
                state.uploaders[who] = Uploader::Idle;
            }
            Step::Refuse(who) => {
                let Uploader::Staged(_, place) = state.uploaders[who] else { return None };
                state.uploaders[who] = match place {
                    // Nobody who finds a blob there may take it back.
                    Place::Blob(key) if !self.has(Flaw::KeysFromDigests) => Uploader::Refused(key),
                    _ => Uploader::Idle,
                };
            }
            Step::Discard(who) => {
                let Uploader::Refused(key) = state.uploaders[who] else { return None };
                state.blobs[key] = None;
                state.uploaders[who] = Uploader::Idle;
            }
            Step::CrashUploader(who) => state.uploaders[who] = Uploader::Idle,
            _ => return None,
        }
        Some(())
    }

    fn sweep(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Pick(who, key) => {
                state.sweepers[who] = Sweeper::Picked(key);
            }
            Step::Remove(who) => {
                let Sweeper::Picked(key) = state.sweepers[who] else { return None };
                state.blobs[key] = None;
                state.sweepers[who] = Sweeper::Removed(key);
            }
            Step::Strike(who) => {
                let Sweeper::Removed(key) = state.sweepers[who] else { return None };
                state.garbage[key] = None;
                state.sweepers[who] = Sweeper::Idle;
            }
            Step::List(who, key) => state.sweepers[who] = Sweeper::Listed(key),
            Step::Check(who) => {
                let Sweeper::Listed(key) = state.sweepers[who] else { return None };
                state.sweepers[who] = if state.owned(key) { Sweeper::Idle } else { Sweeper::Ownerless(key) };
            }
            Step::Clear(who) => {
                let Sweeper::Ownerless(key) = state.sweepers[who] else { return None };
                state.blobs[key] = None;
                state.sweepers[who] = Sweeper::Idle;
            }
            Step::CrashSweeper(who) => state.sweepers[who] = Sweeper::Idle,
            _ => return None,
        }
        Some(())
    }

    fn change(&self, state: &mut State, step: Step) -> Option<()> {
        match step {
            Step::Again(digest) => state.succeed(digest),
            Step::Forget(digest, left) => self.forget(state, digest, left),
            Step::Look(digest) => {
                let Some(Place::Blob(key)) = state.contents[digest] else { return None };
                state.looking = Some((digest, key));
            }
            Step::Done => state.looking = None,
            Step::Hour => state.garbage = state.garbage.map(|row| row.map(|_| Age::Old)),
            Step::Day => {
                state.garbage = state.garbage.map(|row| row.map(|_| Age::Old));
                state.blobs = state.blobs.map(|blob| blob.map(|(digest, _)| (digest, Age::Old)));
            }
            _ => return None,
        }
        Some(())
    }

    fn uploads(&self, state: &State, steps: &mut Vec<Step>) {
        for (who, uploader) in state.uploaders.into_iter().enumerate().rev().take(self.uploaders) {
            match uploader {
                Uploader::Idle => {
                    for digest in 0..DIGESTS {
                        steps.push(Step::Stage(who, digest, true));
                        if self.rows {
                            steps.push(Step::Stage(who, digest, false));
                        }
                    }
                    continue;
                }
                Uploader::Staged(..) => {
                    steps.extend([Step::Commit(who), Step::Refuse(who)]);
                    if self.has(Flaw::DiscardInDoubt) {
                        steps.push(Step::Lose(who));
                    }
                }
                Uploader::Refused(_) => steps.push(Step::Discard(who)),
                Uploader::Late(..) => steps.push(Step::Arrive(who)),
            }
            steps.push(Step::CrashUploader(who));
        }
    }

    fn sweeps(&self, state: &State, steps: &mut Vec<Step>) {
        for (who, sweeper) in state.sweepers.into_iter().enumerate().rev().take(self.sweepers) {
            match sweeper {
                Sweeper::Idle => {
                    for key in 0..KEYS {
                        let grace = !self.has(Flaw::NoGraceForGarbage);
                        if state.garbage[key].is_some_and(|age| age == Age::Old || !grace) {
                            steps.push(Step::Pick(who, key));
                        }
                        let grace = !self.has(Flaw::NoGraceForStaged);
                        if state.blobs[key].is_some_and(|(_, age)| age == Age::Old || !grace) {
                            steps.push(Step::List(who, key));
                        }
                    }
                    continue;
                }
                Sweeper::Picked(_) => steps.push(Step::Remove(who)),
                Sweeper::Removed(_) => steps.push(Step::Strike(who)),
                Sweeper::Listed(_) => steps.push(Step::Check(who)),
                Sweeper::Ownerless(_) => steps.push(Step::Clear(who)),
            }
            steps.push(Step::CrashSweeper(who));
        }
    }

    fn changes(&self, state: &State, steps: &mut Vec<Step>) {
        for digest in (0..DIGESTS).filter(|digest| state.is_needed(*digest)) {
            steps.push(Step::Again(digest));
            let versions = state.versions[digest];
            steps.push(Step::Forget(digest, versions - 1));
            if versions == MANY {
                steps.push(Step::Forget(digest, MANY));
            }
        }
        if state.looking.is_some() {
            steps.push(Step::Done);
            return;
        }
        if self.readers > 0 {
            steps.extend((0..DIGESTS).map(Step::Look));
        }
        steps.push(Step::Hour);
        let uploading = state.uploaders.iter().any(|uploader| *uploader != Uploader::Idle);
        if !uploading || self.has(Flaw::EndlessUploads) {
            steps.push(Step::Day);
        }
    }
}

impl Model for Storage {
    type State = State;
    type Action = Step;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            contents: [None; DIGESTS],
            garbage: [None; KEYS],
            versions: [0; DIGESTS],
            blobs: [None; KEYS],
            uploaders: [Uploader::Idle; 2],
            sweepers: [Sweeper::Idle; 2],
            looking: None,
        }]
    }

    fn actions(&self, state: &State, steps: &mut Vec<Step>) {
        self.uploads(state, steps);
        self.sweeps(state, steps);
        self.changes(state, steps);
    }

    fn next_state(&self, last: &State, step: Step) -> Option<State> {
        let mut state = *last;
        self.upload(&mut state, step)
            .or_else(|| {
                state = *last;
                self.sweep(&mut state, step)
            })
            .or_else(|| {
                state = *last;
                self.change(&mut state, step)
            })?;
        if state == *last {
            return None;
        }
        // Keys that are made of digests are no names of their own.
        Some(if self.has(Flaw::KeysFromDigests) { state.sorted() } else { alike(state) })
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::always(CONTENT, |_, state: &State| {
                let whole =
                    |digest: Digest| state.contents[digest].is_some_and(|at| state.is_there(digest, at));
                (0..DIGESTS).all(|digest| whole(digest) || !state.is_needed(digest))
            }),
            Property::always(COPY, |_, state: &State| {
                state.looking.is_none_or(|(digest, key)| state.is_there(digest, Place::Blob(key)))
            }),
            Property::always(OWNED, |model: &Storage, state: &State| {
                let rows = |key: Key| {
                    let named = state.contents.iter().filter(|place| **place == Some(Place::Blob(key)));
                    named.count() + usize::from(state.garbage[key].is_some())
                };
                model.flaw.is_some() || (0..KEYS).all(|key| rows(key) <= 1)
            }),
            // What it takes for the rules to matter comes to pass.
            Property::sometimes(
                "garbage of bytes that are needed again is about to go",
                |_, state: &State| {
                    state.sweepers.iter().any(|sweeper| match sweeper {
                        Sweeper::Picked(key) => {
                            state.blobs[*key].is_some_and(|(bytes, _)| state.is_needed(bytes))
                        }
                        _ => false,
                    })
                },
            ),
            Property::sometimes(
                "a blob without a row is about to go while one is staged",
                |_, state: &State| {
                    let staged =
                        |uploader: &Uploader| matches!(uploader, Uploader::Staged(_, Place::Blob(_)));
                    let ownerless = |sweeper: &Sweeper| matches!(sweeper, Sweeper::Ownerless(_));
                    state.uploaders.iter().any(staged) && state.sweepers.iter().any(ownerless)
                },
            ),
        ]
    }
}
