//! The model held against the code: its runs are repeated with the real duty and spool of an agent, and with the real talk,
//! actions and catalog of a server. After each step both know, and have on the way, the same.

mod agent;
mod server;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use jumpbag_agent::duty::Frame;
use jumpbag_server::agents::talk::{Talk, Wanted};
use jumpbag_wire::agent::{Chunk, CommandId, FromAgent, FromServer, Stream};
use jumpbag_wire::time::Timestamp;

use super::model::state::{Command, End, State, ToAgent, ToServer};
use super::model::{Protocol, Step};
use agent::Agent;
pub use server::Home;
use server::Server;

/// What a script's file holds.
const CONTENT: &str = "a script";

/// On its way to the agent.
enum Word {
    Said(FromServer),
    Content(Wanted),
}

struct Session {
    talk: Talk<'static>,
    coming: VecDeque<Frame>,
}

/// Both sides, and what is between them.
pub struct World {
    server: &'static Server,
    agent: Agent,
    sessions: [Option<Session>; 2],
    going: Option<VecDeque<Word>>,
    now: Timestamp,
    instant: Instant,
}

impl World {
    pub async fn new(home: &Home, one_action: bool) -> World {
        let now = Timestamp::now();
        // It lives as long as the test: talks borrow from it.
        let server: &'static Server = Box::leak(Box::new(Server::new(home, one_action, now).await));
        let agent = Agent::new(&server.machine, server.key.public(), now);
        World { server, agent, sessions: [None, None], going: None, now, instant: Instant::now() }
    }

    /// Does what a step stands for.
    pub async fn take(&mut self, step: Step) {
        match step {
            Step::Connect => {
                let talk = Talk::new(&self.server.actions, &self.server.key, &self.server.machine);
                self.sessions[1] = self.sessions[0].take().filter(|session| !session.coming.is_empty());
                self.sessions[0] = Some(Session { talk, coming: VecDeque::new() });
                self.going = Some(VecDeque::new());
                self.agent.duty.connected();
            }
            Step::Lose => self.going = None,
            Step::Leave(slot) => self.sessions[slot] = None,
            Step::Look => {
                let session = self.sessions[0].as_mut().expect("a session");
                let words = session.talk.look(self.now).await.expect("a talk");
                self.going.iter_mut().for_each(|going| going.extend(words.iter().cloned().map(Word::Said)));
            }
            Step::ServerHears(slot) => self.server_hears(slot).await,
            Step::AgentHears => match self.going.as_mut().and_then(VecDeque::pop_front).expect("a word") {
                Word::Said(word) => self.agent.duty.hear(word),
                Word::Content(Wanted { command, offset, .. }) => {
                    let data = CONTENT.as_bytes()[usize::try_from(offset).expect("within")..].into();
                    self.agent.duty.hear_chunk(&Chunk { command, stream: None, offset, data });
                }
            },
            Step::AgentSays => {
                while let Some(frame) = self.agent.duty.next_frame(self.instant) {
                    self.sessions[0].iter_mut().for_each(|session| session.coming.push_back(frame.clone()));
                }
            }
            Step::SayAgain => self.instant += Duration::from_secs(61),
            Step::Kill => {
                self.agent.restart(false, false, self.now);
                self.going = None;
            }
            Step::PowerLoss { journal, output } => {
                self.agent.restart(journal, output, self.now);
                self.going = None;
            }
            Step::ServerCrash => {
                self.sessions = [None, None];
                self.going = None;
                self.server = Box::leak(Box::new(self.server.again().await));
            }
            Step::Cancel(action) => self.server.cancel(action, self.now).await,
            Step::Late => {
                self.now = self.now.plus_secs(server::QUEUE_SECS + 1);
                self.agent.duty.clock.set(self.now);
            }
            Step::Expire(_) => {
                assert_eq!(self.server.actions.expire(self.now).await.expect("a catalog"), 1);
            }
            Step::Commit(_) => unreachable!("only with a flaw"),
            worker => self.agent.work(worker, |command| self.server.id(command)).await,
        }
        self.agent.attend(|id| self.server.command(id)).await;
    }

    async fn server_hears(&mut self, slot: usize) {
        let session = self.sessions[slot].as_mut().expect("a session");
        let (words, content) = match session.coming.pop_front().expect("a frame") {
            Frame::Text(word) => {
                let answer = session.talk.hear(word, self.now).await.expect("a talk");
                (answer.words, answer.content)
            }
            Frame::Bytes(chunk) => (session.talk.keep(chunk).await.expect("a talk"), None),
        };
        if let Some(going) = self.going.as_mut().filter(|_| slot == 0) {
            going.extend(words.into_iter().map(Word::Said));
            going.extend(content.map(Word::Content));
        }
    }

    /// Panics when something is not as the model has it.
    pub async fn compare(&self, state: &State, model: &Protocol) {
        let going = self.going.as_ref().map(|going| going.iter().map(|word| self.to_agent(word)).collect());
        assert_eq!(going, state.going, "on its way to the agent");
        for slot in 0..2 {
            let coming = self.sessions[slot]
                .as_ref()
                .map(|session| session.coming.iter().map(|frame| self.to_server(frame)).collect());
            let expected = state.sessions[slot].as_ref().map(|session| session.coming.clone());
            assert_eq!(coming, expected, "on its way to the server, {slot}");
        }
        assert_eq!(self.server.catalog(model).await, state.catalog, "the catalog");
        assert_eq!(self.agent.starts, state.starts, "starts");
    }

    fn to_agent(&self, word: &Word) -> ToAgent {
        let of = |id: &CommandId| self.server.command(id);
        match word {
            Word::Content(wanted) => ToAgent::Content(of(&wanted.command)),
            Word::Said(FromServer::Assign { assignment, .. }) => {
                let assignment: serde_json::Value = serde_json::from_str(assignment).expect("JSON");
                let id: CommandId = serde_json::from_value(assignment["command"].clone()).expect("a command");
                ToAgent::Assign(of(&id))
            }
            Word::Said(FromServer::Kept { command, stream: Stream::Stdout, offset }) => {
                ToAgent::Kept(of(command), u8::try_from(*offset).expect("little"))
            }
            Word::Said(FromServer::Recorded { command }) => ToAgent::Recorded(of(command)),
            Word::Said(FromServer::Cancel { command }) => ToAgent::Cancel(of(command)),
            Word::Said(other) => panic!("{other:?}"),
        }
    }

    fn to_server(&self, frame: &Frame) -> ToServer {
        let of = |id: &CommandId| -> Command { self.server.command(id) };
        match frame {
            Frame::Text(FromAgent::Fetch { command, .. }) => ToServer::Fetch(of(command)),
            Frame::Text(FromAgent::Started { command, .. }) => ToServer::Started(of(command)),
            Frame::Text(FromAgent::Finished { command, outcome }) => {
                let size = outcome.output.iter().map(|end| end.size).sum::<u64>();
                let end = End { succeeded: outcome.succeeded, size: u8::try_from(size).expect("little") };
                ToServer::Finished(of(command), end)
            }
            Frame::Bytes(chunk) => {
                assert_eq!((chunk.offset, chunk.stream), (0, Some(Stream::Stdout)));
                ToServer::Output(of(&chunk.command))
            }
            Frame::Text(other) => panic!("{other:?}"),
        }
    }

    /// What the agent would still say, now or in a minute.
    pub fn last_words(&self) -> Option<Frame> {
        self.agent.duty.next_frame(self.instant + Duration::from_secs(61))
    }
}
