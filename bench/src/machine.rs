//! What the numbers were measured on.

use std::fs;
use std::path::Path;

/// The machine as a markdown list; `folder` is where the data lies.
pub fn describe(folder: &Path) -> String {
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let model = line("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown processor".into());
    let memory = line("/proc/meminfo", "MemTotal").unwrap_or_default();
    let kib: f64 = memory.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or(f64::NAN);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split_whitespace().take(3).collect();
    format!(
        "- {} · {cores} cores · {model} · {:.1} GiB memory\n- {} · Linux {}\n- data on {}\n\
         - load average at the start: {} (anything above 0 was taken from the measured)\n",
        chrono::Utc::now().format("%Y-%m-%d %H:%M UTC"),
        kib / 1024.0 / 1024.0,
        system(),
        kernel.trim(),
        filesystem(folder),
        load.join(" ")
    )
}

/// The value behind `key` in a file of `key : value` lines.
fn line(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let (_, value) = text.lines().find(|line| line.starts_with(key))?.split_once(':')?;
    Some(value.trim().to_string())
}

fn system() -> String {
    let text = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or("unknown system").trim_matches('"').to_string()
}

/// Type, device and options of the mount that holds `folder`.
fn filesystem(folder: &Path) -> String {
    let folder = folder.canonicalize().unwrap_or_else(|_| folder.to_path_buf());
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let holding = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let place: Vec<_> = place.split(' ').collect();
        let (point, options) = (place.get(4)?, place.get(5)?);
        let mut kind = kind.split(' ');
        let text = format!("{} ({}, {options})", kind.next()?, kind.next()?);
        folder.starts_with(point).then_some((point.len(), text))
    });
    holding.max_by_key(|(length, _)| *length).map_or_else(|| "an unknown filesystem".into(), |(_, text)| text)
}

/// How this program was called.
pub fn command() -> String {
    std::env::args().collect::<Vec<_>>().join(" ")
}
