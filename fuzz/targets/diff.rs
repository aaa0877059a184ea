//! Input: a byte that says where to cut the rest in two, in 256ths of it, and two contents.
#![no_main]

use jumpbag_fuzz::library::diff::{MAX_LINES, Side, diff};
use jumpbag_fuzz::library::text::{MAX_WORD, decode, index_text, words};
use jumpbag_wire::diff::{Diff, DiffKind, Hunk};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((share, rest)) = input.split_first() else { return };
    let (from, to) = rest.split_at(rest.len() * usize::from(*share) / 256);
    check(from, to);
    check(to, from);
    if let Some(read) = decode(from) {
        check_words(&read.text);
    }
});

fn check(from: &[u8], to: &[u8]) {
    let side = |version, bytes| Side { version, sha256: "00", bytes };
    let most = from.len().max(to.len());
    if most > 0 {
        assert!(diff(side(1, from), side(2, to), most - 1).is_err());
    }
    let diff = match diff(side(1, from), side(2, to), most) {
        Ok(diff) => diff,
        Err(error) => return assert!(most > MAX_LINES, "{error}"),
    };
    assert_eq!(diff.identical, from == to);
    let (before, after) = (decode(from), decode(to));
    assert_eq!(diff.binary, before.is_none() || after.is_none());
    if let (Some(before), Some(after)) = (before, after) {
        assert_eq!(apply(&before.text, &diff.hunks), after.text);
        // Whatever differs shows.
        let shows = !diff.hunks.is_empty() || before.encoding != after.encoding;
        assert_eq!(shows, !diff.identical);
    }
    check_unified(&diff);
}

fn check_unified(diff: &Diff) {
    let unified = diff.unified("a \"\n.ps1");
    assert_eq!(unified.is_empty(), diff.identical);
    let ends = diff.hunks.iter().flat_map(|hunk| &hunk.lines).filter(|line| line.no_line_feed).count();
    let lines: usize = diff.hunks.iter().map(|hunk| 1 + hunk.lines.len()).sum();
    let head = unified.lines().take_while(|line| !line.starts_with("@@ ")).count();
    assert_eq!(unified.matches('\n').count(), head + lines + ends);
}

/// The text that the hunks make of another, checking all they say about it.
fn apply(before: &str, hunks: &[Hunk]) -> String {
    let lines: Vec<&str> = before.split_inclusive('\n').collect();
    let mut after = String::new();
    let (mut read, mut written) = (0, 0);
    for hunk in hunks {
        let begins = (hunk.from_start - u64::from(hunk.from_lines > 0)) as usize;
        written += begins - read;
        after.extend(lines[read..begins].iter().copied());
        read = begins;
        assert_eq!(hunk.to_start, written as u64 + u64::from(hunk.to_lines > 0));
        let start = (read, written);
        for line in &hunk.lines {
            assert!(!line.text.contains('\n'));
            let whole = format!("{}{}", line.text, if line.no_line_feed { "" } else { "\n" });
            if line.kind != DiffKind::Added {
                assert_eq!(whole, lines[read]);
                read += 1;
            }
            if line.kind != DiffKind::Removed {
                after.push_str(&whole);
                written += 1;
            }
        }
        let counted = ((read - start.0) as u64, (written - start.1) as u64);
        assert_eq!(counted, (hunk.from_lines, hunk.to_lines));
    }
    after.extend(lines[read..].iter().copied());
    after
}

/// Texts and queries meet.
fn check_words(text: &str) {
    let all: Vec<_> = words(text).collect();
    for word in &all {
        assert!((1..=MAX_WORD).contains(&word.chars().count()));
        assert!(words(word).eq([word.as_str()]), "{word}");
    }
    let index = index_text(text, text.len() / 2);
    assert!(index.len() <= text.len() / 2);
    assert!(words(&index).eq(all.into_iter().take(words(&index).count())));
}
