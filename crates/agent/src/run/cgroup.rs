//! Control groups (version 2), where the agent may make them: limits for a script with all it starts, and a way to end
//! them all at once. Where it may not, there are limits for each process, and the supervisor's search.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use crate::settings::Limits;

/// Processes of a script at most.
const MAX_PROCESSES: u32 = 4096;

/// Where the groups of scripts are made.
#[derive(Debug)]
pub struct Groups {
    base: PathBuf,
    prefix: String,
    made: AtomicU64,
}

impl Groups {
    /// Finds out where this process may make groups that limit something. What an earlier agent of this machine left
    /// is ended.
    pub fn prepare(machine: &str) -> Option<Groups> {
        let mount = mount(&fs::read_to_string("/proc/self/mounts").ok()?)?;
        let own = fs::read_to_string("/proc/self/cgroup").ok()?;
        let base = mount.join(own_path(&own)?.trim_start_matches('/'));
        let groups = Groups::below(&base, machine);
        groups.end_leftovers();
        if base != mount {
            step_aside(&base);
        }
        let controls = base.join("cgroup.subtree_control");
        for controller in ["memory", "cpu", "pids"] {
            let _ = fs::write(&controls, format!("+{controller}"));
        }
        let limits = fs::read_to_string(&controls).ok()?.split_whitespace().any(|name| name == "memory");
        (limits && groups.make(&Limits::default()).is_some()).then_some(groups)
    }

    fn below(base: &Path, machine: &str) -> Groups {
        Groups { base: base.to_owned(), prefix: format!("jumpbag-{machine}-"), made: AtomicU64::new(0) }
    }

    /// A group for a script.
    pub fn make(&self, limits: &Limits) -> Option<Group> {
        let number = self.made.fetch_add(1, Ordering::Relaxed);
        let path = self.base.join(format!("{}{}-{number}", self.prefix, std::process::id()));
        fs::create_dir(&path).ok()?;
        let set = |file: &str, value: String| fs::write(path.join(file), value).is_ok();
        let memory = limits.memory == 0 || set("memory.max", limits.memory.to_string());
        let cpu = limits.cpu == 0 || set("cpu.max", format!("{} 100000", u64::from(limits.cpu) * 1000));
        set("pids.max", MAX_PROCESSES.to_string());
        Some(Group { path, memory, cpu })
    }

    fn end_leftovers(&self) {
        for entry in fs::read_dir(&self.base).into_iter().flatten().flatten() {
            if entry.file_name().to_str().is_some_and(|name| name.starts_with(&self.prefix)) {
                kill(&entry.path());
                let _ = fs::remove_dir(entry.path());
            }
        }
    }
}

/// The group of one script. It goes when it is dropped.
#[derive(Debug)]
pub struct Group {
    pub path: PathBuf,
    /// Whether it holds the limits that were asked for.
    pub memory: bool,
    pub cpu: bool,
}

impl Group {
    /// Whether something in the group was ended because it took too much memory.
    pub fn ran_out_of_memory(&self) -> bool {
        let events = fs::read_to_string(self.path.join("memory.events")).unwrap_or_default();
        events.lines().any(|line| line.strip_prefix("oom_kill ").is_some_and(|count| count.trim() != "0"))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.path);
    }
}

/// Ends all processes of a group.
pub fn kill(group: &Path) {
    let _ = fs::write(group.join("cgroup.kill"), "1");
}

fn mount(mounts: &str) -> Option<PathBuf> {
    let mut lines = mounts.lines().map(|line| line.split(' '));
    lines.find_map(|mut fields| {
        let path = fields.nth(1)?;
        (fields.next() == Some("cgroup2")).then(|| path.into())
    })
}

fn own_path(cgroup: &str) -> Option<&str> {
    cgroup.lines().find_map(|line| line.strip_prefix("0::"))
}

/// A group with limits for those below it may have no process in itself. An agent that is alone in its group, as a
/// service is, makes one beside those of its scripts.
fn step_aside(base: &Path) {
    let alone = fs::read_to_string(base.join("cgroup.procs"))
        .is_ok_and(|list| list.trim() == std::process::id().to_string());
    let aside = base.join("agent");
    if alone && (aside.is_dir() || fs::create_dir(&aside).is_ok()) {
        let _ = fs::write(aside.join("cgroup.procs"), "0");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_version_is_found_beside_the_first() {
        let mounts =
            "cgroup /sys/fs/cgroup/cpu cgroup rw,cpu 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n";
        assert_eq!(mount(mounts), Some("/sys/fs/cgroup/unified".into()));
        assert_eq!(mount("proc /proc proc rw 0 0\n"), None);
        assert_eq!(own_path("3:cpu:/x\n0::/system.slice/a.service\n"), Some("/system.slice/a.service"));
    }

    #[test]
    fn a_group_has_the_limits_that_were_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let groups = Groups::below(folder.path(), "m");
        let group = groups.make(&Limits { memory: 1000, cpu: 50, ..Limits::default() }).unwrap();
        let read = |file: &str| fs::read_to_string(group.path.join(file)).unwrap();
        assert_eq!((read("memory.max").as_str(), read("cpu.max").as_str()), ("1000", "50000 100000"));
        assert!(group.memory && group.cpu && !group.ran_out_of_memory());
        fs::write(group.path.join("memory.events"), "oom 1\noom_kill 1\n").unwrap();
        assert!(group.ran_out_of_memory());
        let other = groups.make(&Limits { memory: 0, ..Limits::default() }).unwrap();
        assert!(other.path != group.path && !other.path.join("memory.max").exists());
    }

    /// Only where this process may make groups.
    #[test]
    fn what_is_left_in_a_group_is_ended() {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let Some(mount) = mount(&mounts) else { return };
        let groups = Groups::below(&mount, &format!("test-{}", std::process::id()));
        let Some(group) = groups.make(&Limits { memory: 0, ..Limits::default() }) else { return };
        let mut child = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        let inside = fs::write(group.path.join("cgroup.procs"), child.id().to_string()).is_ok();
        if inside {
            groups.end_leftovers();
        } else {
            child.kill().unwrap();
        }
        assert!(!child.wait().unwrap().success());
    }
}
