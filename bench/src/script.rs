//! Texts that read like the scripts of a responder. Invariant: a number and a size make the same text on every run,
//! and no two numbers make the same one.

use std::fmt::Write;

const VERBS: [&str; 16] = [
    "Get", "Set", "Stop", "Start", "Remove", "Copy", "Export", "Import", "Find", "Test", "Read", "Write",
    "Measure", "Select", "Invoke", "Resolve",
];

/// Scripts of one subject use neighbours.
const NOUNS: [&str; 128] = [
    "process",
    "thread",
    "handle",
    "module",
    "memory",
    "dump",
    "image",
    "signature",
    "certificate",
    "publisher",
    "service",
    "driver",
    "kernel",
    "boot",
    "firmware",
    "registry",
    "hive",
    "key",
    "value",
    "policy",
    "task",
    "trigger",
    "schedule",
    "startup",
    "shortcut",
    "folder",
    "file",
    "stream",
    "owner",
    "permission",
    "share",
    "volume",
    "shadow",
    "snapshot",
    "disk",
    "partition",
    "archive",
    "hash",
    "digest",
    "size",
    "account",
    "group",
    "member",
    "administrator",
    "privilege",
    "session",
    "logon",
    "password",
    "revoke",
    "stale",
    "kerberos",
    "tickets",
    "token",
    "domain",
    "controller",
    "forest",
    "directory",
    "replication",
    "mailbox",
    "message",
    "attachment",
    "sender",
    "recipient",
    "rule",
    "forwarding",
    "browser",
    "history",
    "download",
    "extension",
    "cookie",
    "cache",
    "profile",
    "proxy",
    "certificateStore",
    "network",
    "adapter",
    "address",
    "route",
    "gateway",
    "neighbor",
    "connection",
    "socket",
    "port",
    "listener",
    "firewall",
    "packet",
    "capture",
    "resolver",
    "query",
    "zone",
    "tunnel",
    "remote",
    "desktop",
    "shell",
    "console",
    "command",
    "argument",
    "environment",
    "variable",
    "script",
    "block",
    "transcript",
    "event",
    "channel",
    "provider",
    "record",
    "filter",
    "consumer",
    "subscription",
    "namespace",
    "instance",
    "class",
    "device",
    "storage",
    "printer",
    "spooler",
    "update",
    "patch",
    "package",
    "installer",
    "product",
    "version",
    "vendor",
    "antivirus",
    "exclusion",
    "quarantine",
    "sample",
    "verdict",
];

/// How many nouns a script is about.
const SUBJECT: usize = 12;

/// The script with this number: `size` bytes of ASCII that hold `lines` near their beginning.
pub fn script(number: usize, size: usize, lines: &[&str]) -> String {
    let mut chance = Chance(number as u64);
    let subject = chance.below(NOUNS.len());
    let mut text = format!("# Script {number:08} of the response library\n");
    lines.iter().for_each(|line| text.extend([line, "\n"]));
    while text.len() < size {
        line(&mut text, &mut chance, subject);
    }
    text.truncate(size);
    text
}

fn line(text: &mut String, chance: &mut Chance, subject: usize) {
    let kind = chance.below(5);
    let verb = VERBS[chance.below(VERBS.len())];
    let [a, b, c, d] = [(); 4].map(|()| NOUNS[(subject + chance.below(SUBJECT)) % NOUNS.len()]);
    let number = chance.below(5000);
    // Writing to a string cannot fail.
    let _ = match kind {
        0 => writeln!(text, "# {verb} the {a} of each {b} {c} and {d}"),
        1 => writeln!(text, "${a}{b} = {verb}-{a} -{c} '{d}' -ErrorAction SilentlyContinue"),
        2 => writeln!(text, "foreach (${a} in ${b}{a}) {{ {verb}-{c} ${a}.{d} -Limit {number} }}"),
        3 => writeln!(text, "if (${a}{c}.Count -gt {number}) {{ Write-Output \"{b} {d}: ${a}\" }}"),
        _ => writeln!(text, "Join-Path $env:SystemRoot '{a}\\{b}\\{c}{number}.{d}' | {verb}-{a}"),
    };
}

/// SplitMix64: numbers by chance that are the same on every run.
struct Chance(u64);

impl Chance {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) % end as u64) as usize
    }
}

/// The words of a text as `$search` sees them, with one space before, between and behind them.
pub fn words(text: &str) -> String {
    let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.fold(String::from(" "), |all, word| all + &word.to_lowercase() + " ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_is_the_same_again_and_no_other_and_holds_its_lines() {
        let one = script(1, 2048, &["# zerologon"]);
        assert_eq!(one, script(1, 2048, &["# zerologon"]));
        assert_ne!(one[46..], script(2, 2048, &["# zerologon"])[46..]);
        assert_eq!((one.len(), one.is_ascii()), (2048, true));
        assert!(words(&one).contains(" library zerologon "), "{one}");
    }

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        assert_eq!(words("Get-Process $a.B; 12"), " get process a b 12 ");
    }
}
