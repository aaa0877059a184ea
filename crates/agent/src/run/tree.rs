//! Processes and whose children they are, from `/proc`.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

/// How often and how long what does not end is killed again.
const PASSES: u32 = 400;
const PAUSE: Duration = Duration::from_millis(5);

fn numbers() -> impl Iterator<Item = i32> {
    let entries = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The parent: the second field after the name, which is in parentheses and may hold anything.
fn parent(stat: &str) -> Option<i32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// All that stem from a process, without itself.
pub fn below(root: Pid) -> Vec<Pid> {
    let root = root.as_raw_nonzero().get();
    let found = if Path::new("/proc/self/task").join(root.to_string()).join("children").exists() {
        gathered(root, children)
    } else {
        let table = table();
        gathered(root, |parent| table.get(&parent).cloned().unwrap_or_default())
    };
    found.into_iter().filter_map(Pid::from_raw).collect()
}

fn gathered(root: i32, children: impl Fn(i32) -> Vec<i32>) -> Vec<i32> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(next) = open.pop() {
        for child in children(next) {
            if !found.contains(&child) {
                found.push(child);
                open.push(child);
            }
        }
    }
    found
}

/// The children of each of a process's threads, where the kernel lists them.
fn children(parent: i32) -> Vec<i32> {
    let threads = std::fs::read_dir(format!("/proc/{parent}/task")).into_iter().flatten().flatten();
    let lists = threads.filter_map(|thread| std::fs::read_to_string(thread.path().join("children")).ok());
    lists
        .flat_map(|list| list.split_whitespace().filter_map(|pid| pid.parse().ok()).collect::<Vec<_>>())
        .collect()
}

/// Everybody's children.
fn table() -> HashMap<i32, Vec<i32>> {
    let mut children: HashMap<i32, Vec<i32>> = HashMap::new();
    for number in numbers() {
        let stat = std::fs::read_to_string(format!("/proc/{number}/stat"));
        if let Some(parent) = stat.ok().as_deref().and_then(parent) {
            children.entry(parent).or_default().push(number);
        }
    }
    children
}

/// Kills all that stem from a process now.
pub fn kill_below(root: Pid) {
    for pid in below(root) {
        let _ = kill_process(pid, Signal::KILL);
    }
}

/// Kills all processes with one of these marks until there are none. Returns whether there are none.
pub fn kill_marked(marks: &[String]) -> bool {
    let wanted: Vec<String> = marks.iter().map(|mark| format!("{}={mark}", super::MARK)).collect();
    for _ in 0..PASSES {
        let marked: Vec<Pid> =
            numbers().filter(|number| is_marked(*number, &wanted)).filter_map(Pid::from_raw).collect();
        if marked.is_empty() {
            return true;
        }
        for pid in marked {
            let _ = kill_process(pid, Signal::KILL);
        }
        std::thread::sleep(PAUSE);
    }
    false
}

fn is_marked(number: i32, wanted: &[String]) -> bool {
    let Ok(environment) = std::fs::read(format!("/proc/{number}/environ")) else { return false };
    let mut variables = environment.split(|byte| *byte == 0);
    variables.any(|variable| wanted.iter().any(|wanted| wanted.as_bytes() == variable))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_parentheses_hides_no_parent() {
        assert_eq!(parent("17 (a) b) (c) S 12 17 17 0"), Some(12));
        assert_eq!(parent("17"), None);
    }

    #[test]
    fn both_ways_to_find_what_stems_from_a_process_find_the_same() {
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "sleep 1000 & echo; wait"]).stdout(std::process::Stdio::piped());
        let mut child = shell.spawn().unwrap();
        let mut line = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut line).unwrap();
        let root = Pid::from_child(&child);
        let table = table();
        let number = root.as_raw_nonzero().get();
        let slowly = gathered(number, |parent| table.get(&parent).cloned().unwrap_or_default());
        assert_eq!(slowly.len(), 1);
        assert_eq!(below(root).iter().map(|pid| pid.as_raw_nonzero().get()).collect::<Vec<_>>(), slowly);
        kill_below(root);
        child.wait().unwrap();
    }
}
