//! Whatever is killed when: a command starts at most once, and its end is told.

use jumpbag_wire::agent::{CommandId, Stream};
use rustix::process::{Pid, Signal, kill_process};

use crate::agent::{Agent, Witness};
use crate::server::{Server, id};

const INTERRUPTED: &str = "the agent was stopped while the command ran";

/// A script that writes down that it runs, and then runs on.
async fn runs_on(server: &Server, agent: &Agent, witness: &Witness) -> CommandId {
    let script = "echo run >> \"$1\"; exec 3>\"$2\"; (setsid sleep 1000 &) ; echo so far; sleep 1000";
    let runs = agent.beside("runs");
    let args = [runs.to_str().unwrap(), witness.path()];
    let command = server.script(&agent.machine, id(1, 0), "on.sh", script, &args);
    server.output_with(&command, "so far\n").await;
    command
}

async fn failed_once(server: &Server, agent: &Agent, command: &CommandId, words: &str) {
    let outcome = server.finished(command).await;
    assert_eq!(outcome.errors, [words]);
    assert!(!outcome.succeeded && outcome.started.is_some());
    assert_eq!(server.text(command, Stream::Stdout), "so far\n");
    // What comes after shows that nothing of it is left to be done.
    let next = server.script(&agent.machine, id(2, 0), "next.sh", "echo next", &[]);
    assert!(server.finished(&next).await.succeeded);
    assert_eq!(std::fs::read_to_string(agent.beside("runs")).unwrap(), "run\n");
}

#[tokio::test]
async fn an_agent_killed_while_a_script_runs_tells_so_and_does_not_run_it_again() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let command = runs_on(&server, &agent, &witness).await;
    agent.kill();
    // The script ends though no agent is there to end it.
    gone.await;
    agent.start();
    failed_once(&server, &agent, &command, INTERRUPTED).await;
}

#[tokio::test]
async fn a_script_whose_agent_and_supervisor_were_killed_is_ended_by_the_next_agent() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let command = runs_on(&server, &agent, &witness).await;
    let supervisor = supervisor(&agent);
    // Stopped, it cannot notice that the agent goes.
    kill_process(supervisor, Signal::STOP).unwrap();
    agent.kill();
    kill_process(supervisor, Signal::KILL).unwrap();
    agent.start();
    gone.await;
    failed_once(&server, &agent, &command, INTERRUPTED).await;
}

#[tokio::test]
async fn a_script_whose_supervisor_was_killed_is_ended_and_has_failed() {
    let server = Server::start().await;
    let agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let command = runs_on(&server, &agent, &witness).await;
    kill_process(supervisor(&agent), Signal::KILL).unwrap();
    gone.await;
    failed_once(&server, &agent, &command, "the script's supervisor was killed").await;
}

#[tokio::test]
async fn an_agent_that_is_told_to_stop_ends_its_script_and_says_so_before_it_goes() {
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    let witness = Witness::new(&agent);
    let gone = witness.watch();
    let command = runs_on(&server, &agent, &witness).await;
    agent.stop();
    gone.await;
    let outcome = server.finished(&command).await;
    assert_eq!(outcome.errors, [INTERRUPTED]);
    agent.start();
    failed_once(&server, &agent, &command, INTERRUPTED).await;
}

fn supervisor(agent: &Agent) -> Pid {
    let children = format!("/proc/{0}/task/{0}/children", agent.pid());
    let children = std::fs::read_to_string(children).unwrap();
    let found = children
        .split_whitespace()
        .map(|pid| pid.parse().unwrap())
        .find(|pid| std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap().contains("supervise"));
    Pid::from_raw(found.unwrap()).unwrap()
}

/// Numbers that look random and are the same each time.
struct Dice(u64);

impl Dice {
    fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % end
    }
}

/// The agent is killed again and again, after so many events of the protocol, while short commands go through.
#[tokio::test]
async fn no_command_runs_twice_and_none_is_lost_when_the_agent_is_killed_at_any_moment() {
    const COMMANDS: u32 = 120;
    let server = Server::start().await;
    let mut agent = Agent::running(&server).await;
    let mut dice = Dice(0x9e37_79b9_7f4a_7c15);
    let runs = agent.beside("runs");
    let commands: Vec<_> = (0..COMMANDS)
        .map(|number| {
            let args = [runs.to_str().unwrap(), &number.to_string()];
            server.script(&agent.machine, id(3, number), "short.sh", "echo $2 >> \"$1\"; echo done", &args)
        })
        .collect();
    let mut kills = 0;
    while server.count_finished() < COMMANDS as usize {
        server.events(1 + dice.below(12)).await;
        // Some turns of the scheduler more, so that the moment is not always just after a message.
        for _ in 0..dice.below(2000) {
            std::hint::black_box(std::fs::metadata(&runs).is_ok());
        }
        agent.kill();
        kills += 1;
        agent.start();
    }
    let text = std::fs::read_to_string(&runs).unwrap();
    let mut ran = vec![0; COMMANDS as usize];
    text.lines().for_each(|line| ran[line.parse::<usize>().unwrap()] += 1);
    let mut succeeded = 0;
    for (command, ran) in commands.iter().zip(ran) {
        let outcome = server.finished(command).await;
        assert!(ran <= 1, "{command:?} ran {ran} times");
        if outcome.succeeded {
            succeeded += 1;
            assert_eq!(ran, 1, "{command:?} succeeded and did not run");
            assert_eq!(server.text(command, Stream::Stdout), "done\n");
        } else {
            assert_eq!(outcome.errors, [INTERRUPTED], "{command:?}");
        }
    }
    println!("{kills} kills, {succeeded} of {COMMANDS} succeeded");
    assert!(kills > 10, "only {kills} kills");
}
