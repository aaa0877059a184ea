//! What the model knows: of each command, on both sides, and what is on its way.

use std::collections::VecDeque;

pub const COMMANDS: usize = 2;
pub type Command = usize;

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    Pending,
    InProgress,
    Succeeded,
    Failed,
    TimeOut,
    Cancelled,
}

impl Status {
    pub fn is_final(self) -> bool {
        !matches!(self, Status::Pending | Status::InProgress)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Row {
    Created,
    Submitted,
    Executing,
    Completed,
    Failed,
}

impl Row {
    pub fn has_ended(self) -> bool {
        matches!(self, Row::Completed | Row::Failed)
    }
}

/// What the server's database holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Catalog {
    pub actions: [Status; COMMANDS],
    pub rows: [Row; COMMANDS],
    /// Units of output.
    pub kept: [u8; COMMANDS],
}

/// How a command ended, as its machine tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct End {
    pub succeeded: bool,
    pub size: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToAgent {
    Assign(Command),
    Content(Command),
    Kept(Command, u8),
    Recorded(Command),
    Cancel(Command),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ToServer {
    Fetch(Command),
    Started(Command),
    Output(Command),
    Finished(Command, End),
}

/// The server's side of a connection, and what is on its way to it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Session {
    pub at: Option<Command>,
    pub wake: bool,
    pub coming: VecDeque<ToServer>,
    /// Only with a flaw: an answer was given and its change is not committed yet.
    pub uncommitted: Option<ToServer>,
}

/// What the agent's journal says of a command, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Record {
    #[default]
    Nothing,
    Started,
    Finished(End),
    Recorded,
}

/// What is on the agent's disk, if the machine goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Disk {
    pub journal: [Record; COMMANDS],
    pub output: [u8; COMMANDS],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Stage {
    Waiting,
    Fetching {
        asked: bool,
    },
    /// The content is there.
    Ready,
    /// It is written down that it starts, and that is not on the disk yet.
    Starting,
    Running,
    Ended(End),
}

/// What the agent has in memory of a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    pub stage: Stage,
    pub stopped: bool,
    pub started: bool,
    pub said_started: bool,
    pub sent: u8,
    pub kept: u8,
    pub rewound: bool,
    pub said_end: bool,
}

impl Entry {
    pub fn new(stage: Stage) -> Entry {
        Entry {
            stage,
            stopped: false,
            started: false,
            said_started: false,
            sent: 0,
            kept: 0,
            rewound: false,
            said_end: false,
        }
    }

    pub fn has_ended(&self) -> bool {
        matches!(self.stage, Stage::Ended(_))
    }

    pub fn is_worked_on(&self) -> bool {
        !matches!(self.stage, Stage::Waiting | Stage::Ended(_))
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct State {
    pub catalog: Catalog,
    /// The newest session, and the one before while it has not noticed.
    pub sessions: [Option<Session>; 2],
    /// What is on its way to the agent over the newest connection; `None` when the agent has none.
    pub going: Option<VecDeque<ToAgent>>,
    pub written: Disk,
    pub synced: Disk,
    pub entries: [Option<Entry>; COMMANDS],
    /// The order in which they came.
    pub first: Command,
    pub refusals: VecDeque<Command>,
    /// The time after which nothing may be started is over.
    pub late: bool,
    /// Faults that may still happen.
    pub faults: u8,
    /// What was so far: starts, ends that counted, and the first final status.
    pub starts: [u8; COMMANDS],
    pub counted: [u8; COMMANDS],
    pub finals: [Option<Status>; COMMANDS],
}

impl State {
    pub fn new(faults: u8) -> State {
        State {
            catalog: Catalog {
                actions: [Status::Pending; COMMANDS],
                rows: [Row::Created; COMMANDS],
                kept: [0; COMMANDS],
            },
            sessions: [None, None],
            going: None,
            written: Disk::default(),
            synced: Disk::default(),
            entries: [None; COMMANDS],
            first: 0,
            refusals: VecDeque::new(),
            late: false,
            faults,
            starts: [0; COMMANDS],
            counted: [0; COMMANDS],
            finals: [None; COMMANDS],
        }
    }

    /// Commands that the agent knows, in the order in which they came.
    pub fn order(&self) -> [Command; COMMANDS] {
        if self.first == 0 { [0, 1] } else { [1, 0] }
    }
}
