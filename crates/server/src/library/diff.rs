//! The lines in which two versions of a file differ. Applied to the one text, the hunks give the other exactly.

use gix_imara_diff::{Algorithm, InternedInput};
use jumpbag_wire::diff::{Diff, DiffKind, DiffLine, DiffSide, Hunk};

use super::text::{Text, decode};

/// Lines of a side. The worst texts found take 0.2 s at this number, and more than twice as long at twice of it.
pub const MAX_LINES: usize = 50_000;
/// Changes that are moved to where people expect them, if there are no more: each may move through the whole text.
const MOST_ALIGNED: usize = 1000;
/// Lines around a change that are shown with it.
const CONTEXT: u32 = 3;

/// A version to compare.
#[derive(Debug, Clone, Copy)]
pub struct Side<'a> {
    pub version: u64,
    pub sha256: &'a str,
    pub bytes: &'a [u8],
}

/// Why two versions are not compared.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DiffError {
    #[error("version {version} has {bytes} bytes; only versions of at most {max} are compared")]
    TooManyBytes { version: u64, bytes: usize, max: usize },
    #[error("version {version} has {lines} lines; only versions of at most {MAX_LINES} are compared")]
    TooManyLines { version: u64, lines: usize },
}

/// Compares two versions. Lines end in a line feed; what is before it, a carriage return for one, is the line's.
///
/// # Errors
/// When a side has more than `max_bytes`, or both are texts and one has more than [`MAX_LINES`].
pub fn diff(from: Side<'_>, to: Side<'_>, max_bytes: usize) -> Result<Diff, DiffError> {
    for Side { version, bytes, .. } in [from, to] {
        if bytes.len() > max_bytes {
            return Err(DiffError::TooManyBytes { version, bytes: bytes.len(), max: max_bytes });
        }
    }
    let identical = from.bytes == to.bytes;
    let (before, after) = (decode(from.bytes), decode(to.bytes));
    let hunks = match (&before, &after) {
        (Some(before), Some(after)) if !identical => {
            let (before, after) = (&before.text, &after.text);
            check_lines(from.version, before)?;
            check_lines(to.version, after)?;
            compare(before, after)
        }
        _ => Vec::new(),
    };
    Ok(Diff {
        binary: before.is_none() || after.is_none(),
        from: side(from, before.as_ref()),
        to: side(to, after.as_ref()),
        identical,
        hunks,
    })
}

fn side(side: Side<'_>, text: Option<&Text<'_>>) -> DiffSide {
    DiffSide {
        version: side.version,
        sha256: side.sha256.to_owned(),
        size: side.bytes.len() as u64,
        encoding: text.map(|text| text.encoding.as_str().to_owned()),
    }
}

fn check_lines(version: u64, text: &str) -> Result<(), DiffError> {
    let lines = text.split_inclusive('\n').count();
    if lines > MAX_LINES { Err(DiffError::TooManyLines { version, lines }) } else { Ok(()) }
}

fn compare(before: &str, after: &str) -> Vec<Hunk> {
    let input = InternedInput::new(before, after);
    // Not the histogram: hostile texts make it quadratic.
    let mut diff = gix_imara_diff::Diff::compute(Algorithm::Myers, &input);
    if diff.hunks().nth(MOST_ALIGNED).is_none() {
        diff.postprocess_lines(&input);
    }
    let mut hunks = Vec::new();
    let mut group: Vec<gix_imara_diff::Hunk> = Vec::new();
    for change in diff.hunks() {
        if let Some(last) = group.last()
            && change.before.start - last.before.end > 2 * CONTEXT
        {
            hunks.extend(hunk(&input, &group));
            group.clear();
        }
        group.push(change);
    }
    hunks.extend(hunk(&input, &group));
    hunks
}

/// Changes that are close together, with the lines between and around them. `None` when there are none.
fn hunk(input: &InternedInput<&str>, changes: &[gix_imara_diff::Hunk]) -> Option<Hunk> {
    let (first, last) = (changes.first()?, changes.last()?);
    // Before a change and after it both sides have equally many lines in common.
    let lead = first.before.start.min(CONTEXT);
    let trail = (input.before.len() as u32 - last.before.end).min(CONTEXT);
    let mut at = first.before.start - lead;
    let mut lines = Vec::new();
    let mut push = |kind, tokens: &[gix_imara_diff::Token]| {
        lines.extend(tokens.iter().map(|token| line(kind, input.interner[*token])));
    };
    let range = |start: u32, end: u32| start as usize..end as usize;
    for change in changes {
        push(DiffKind::Context, &input.before[range(at, change.before.start)]);
        push(DiffKind::Removed, &input.before[range(change.before.start, change.before.end)]);
        push(DiffKind::Added, &input.after[range(change.after.start, change.after.end)]);
        at = change.before.end;
    }
    push(DiffKind::Context, &input.before[range(at, at + trail)]);
    let (from_start, from_lines) = extent(first.before.start - lead, last.before.end + trail);
    let (to_start, to_lines) = extent(first.after.start - lead, last.after.end + trail);
    Some(Hunk { from_start, from_lines, to_start, to_lines, lines })
}

/// Lines `start..end`, counted from 0, as a hunk counts them.
fn extent(start: u32, end: u32) -> (u64, u64) {
    let lines = u64::from(end - start);
    (u64::from(start) + u64::from(lines > 0), lines)
}

fn line(kind: DiffKind, line: &str) -> DiffLine {
    let text = line.strip_suffix('\n');
    DiffLine { kind, text: text.unwrap_or(line).to_owned(), no_line_feed: text.is_none() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::process::{Command, Stdio};

    fn compared(from: &[u8], to: &[u8]) -> Diff {
        let side = |version, bytes| Side { version, sha256: "00", bytes };
        diff(side(1, from), side(2, to), 1 << 20).unwrap()
    }

    /// The text that the hunks make of another, checking all they say about it.
    fn apply(before: &str, hunks: &[Hunk]) -> String {
        let lines: Vec<&str> = before.split_inclusive('\n').collect();
        let mut after = String::new();
        let (mut read, mut written) = (0, 0);
        for hunk in hunks {
            let begins = (hunk.from_start - u64::from(hunk.from_lines > 0)) as usize;
            for line in &lines[read..begins] {
                after.push_str(line);
                written += 1;
            }
            read = begins;
            assert_eq!(hunk.to_start, written + u64::from(hunk.to_lines > 0));
            let (read_before, written_before) = (read, written);
            for line in &hunk.lines {
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
            assert_eq!((read - read_before) as u64, hunk.from_lines);
            assert_eq!(written - written_before, hunk.to_lines);
        }
        after.extend(lines[read..].iter().copied());
        after
    }

    fn numbered(lines: std::ops::Range<u32>) -> String {
        lines.map(|n| format!("line {n}\n")).collect()
    }

    #[test]
    fn changes_are_shown_with_three_lines_around_them() {
        let before = numbered(1..31);
        let after = before
            .replace("line 5\n", "five\n")
            .replace("line 12\n", "")
            .replace("line 20\n", "line 20\nmore\n");
        insta::assert_snapshot!(compared(before.as_bytes(), after.as_bytes()).unified("a.ps1"), @r#"
--- a.ps1	version 1
+++ a.ps1	version 2
@@ -2,14 +2,13 @@
 line 2
 line 3
 line 4
-line 5
+five
 line 6
 line 7
 line 8
 line 9
 line 10
 line 11
-line 12
 line 13
 line 14
 line 15
@@ -18,6 +17,7 @@
 line 18
 line 19
 line 20
+more
 line 21
 line 22
 line 23
"#);
    }

    #[test]
    fn a_block_that_was_put_in_is_shown_as_it_was_written() {
        let before = "if x {\n  a\n}\n\nif x {\n  c\n}\n";
        let after = before.replace("  c", "  b\n}\n\nif x {\n  c");
        let diff = compared(before.as_bytes(), after.as_bytes());
        let lines = diff.hunks[0].lines.iter().filter(|line| line.kind == DiffKind::Added);
        assert_eq!(lines.map(|line| line.text.as_str()).collect::<Vec<_>>(), ["if x {", "  b", "}", ""]);
    }

    #[test]
    fn many_changes_are_as_exact_as_few() {
        let text = |mut state: u64| -> String {
            let mut digit = || {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                format!("{}\n", (state >> 33) % 10)
            };
            (0..9000).map(|_| digit()).collect()
        };
        let (before, after) = (text(1), text(6));
        let diff = compared(before.as_bytes(), after.as_bytes());
        let lines: Vec<_> = diff.hunks.iter().flat_map(|hunk| &hunk.lines).collect();
        let changes = lines.chunk_by(|a, b| (a.kind == DiffKind::Context) == (b.kind == DiffKind::Context));
        assert!(changes.count() > 2 * MOST_ALIGNED);
        assert_eq!(apply(&before, &diff.hunks), after);
    }

    #[test]
    fn changes_that_no_line_shows_show_elsewhere() {
        let seen = |from: &[u8], to: &[u8]| {
            let diff = compared(from, to);
            (diff.identical, diff.binary, diff.hunks.len(), diff.from.encoding, diff.to.encoding)
        };
        let utf_8 = || Some("utf-8".to_owned());
        assert_eq!(seen(b"a\n", b"a\n"), (true, false, 0, utf_8(), utf_8()));
        assert_eq!(seen(b"a\n", b"\xEF\xBB\xBFa\n"), (false, false, 0, utf_8(), Some("utf-8-bom".into())));
        assert_eq!(seen(b"\xFF\xFEa\0", b"b"), (false, false, 1, Some("utf-16le".into()), utf_8()));
        assert_eq!(seen(b"a\n", b"\0"), (false, true, 0, utf_8(), None));
        assert_eq!(seen(b"\0", b"\0"), (true, true, 0, None, None));
        let sides = compared(b"abc", b"");
        assert_eq!((sides.from.size, sides.from.version, sides.to.size, sides.to.version), (3, 1, 0, 2));
    }

    #[test]
    fn ends_of_lines_count() {
        let lines = |from: &str, to: &str| -> Vec<String> {
            let diff = compared(from.as_bytes(), to.as_bytes());
            let lines = diff.hunks.into_iter().flat_map(|hunk| hunk.lines);
            lines
                .map(|line| {
                    format!("{}{}{}", line.kind.sign(), line.text, if line.no_line_feed { "$" } else { "" })
                })
                .collect()
        };
        assert_eq!(lines("a\nb\n", "a\nb"), [" a", "-b", "+b$"]);
        assert_eq!(lines("a\r\n", "a\n"), ["-a\r", "+a"]);
        assert_eq!(lines("a\rb", "a\rc"), ["-a\rb$", "+a\rc$"]);
        assert_eq!(lines("", "\n"), ["+"]);
        assert_eq!(lines("", "a"), ["+a$"]);
    }

    #[test]
    fn sides_are_bounded() {
        fn side(version: u64, text: &str) -> Side<'_> {
            Side { version, sha256: "", bytes: text.as_bytes() }
        }
        let compare = |from: &str, to: &str, max| match diff(side(1, from), side(2, to), max) {
            Ok(diff) => Ok(diff.hunks.len()),
            Err(error) => Err(error.to_string()),
        };
        let (most, more) = ("\n".repeat(MAX_LINES), "\n".repeat(MAX_LINES) + "x");
        assert_eq!(compare("abc", "abcd", 4), Ok(1));
        assert_eq!(
            compare("abc", "abcde", 4),
            Err("version 2 has 5 bytes; only versions of at most 4 are compared".into())
        );
        assert_eq!(compare(&most, "a", 1 << 20), Ok(1));
        assert_eq!(
            compare(&more, "a", 1 << 20),
            Err("version 1 has 50001 lines; only versions of at most 50000 are compared".into())
        );
        assert_eq!(compare(&more, &more, 1 << 20), Ok(0));
        assert_eq!(compare(&more, "\0", 1 << 20), Ok(0));
    }

    #[test]
    fn the_patch_program_applies_what_is_written() {
        let version = Command::new("patch").arg("--version").stdout(Stdio::null()).status();
        if !version.is_ok_and(|status| status.success()) {
            return;
        }
        let long = numbered(1..100);
        let cases = [
            (long.clone(), long.replace("line 50\n", "fifty\r\n").replace("line 7", "7")),
            ("a\nb\n".to_owned(), "a\nb".to_owned()),
            ("a".to_owned(), "a\n--- x\n+++ y".to_owned()),
            ("-- a\n++ b\n".to_owned(), "@@ -1 +1 @@\n".to_owned()),
            (String::new(), "one\n\ntwo\n".to_owned()),
            ("one\r\ntwo\r\n".to_owned(), "\\ No newline at end of file\nzwölf\u{c}\r".to_owned()),
        ];
        let folder = tempfile::tempdir().unwrap();
        for (before, after) in cases {
            for name in ["a.ps1", "a b ü.ps1", "say \"hi\".ps1"] {
                let file = folder.path().join(name);
                std::fs::write(&file, &before).unwrap();
                let text = compared(before.as_bytes(), after.as_bytes()).unified(name);
                let written = folder.path().join("diff");
                std::fs::write(&written, &text).unwrap();
                let mut patch = Command::new("patch");
                patch.arg("--batch").stdin(std::fs::File::open(&written).unwrap()).current_dir(folder.path());
                let output = patch.output().unwrap();
                assert!(output.status.success(), "{output:?}\n{text}");
                assert_eq!(std::fs::read_to_string(&file).unwrap(), after, "{text}");
            }
        }
    }

    proptest! {
        #[test]
        fn hunks_applied_to_the_one_give_the_other(before in "([ab\\-\r]{0,1}\n?){0,40}", after in "([ab\\-\r]{0,1}\n?){0,40}") {
            let diff = compared(before.as_bytes(), after.as_bytes());
            prop_assert_eq!(apply(&before, &diff.hunks), after.as_str());
            prop_assert_eq!(diff.identical, before == after);
            for hunk in &diff.hunks {
                let context = |line: &&DiffLine| line.kind == DiffKind::Context;
                prop_assert!(hunk.lines.iter().take_while(context).count() <= 3);
                prop_assert!(hunk.lines.iter().rev().take_while(context).count() <= 3);
                prop_assert!(!hunk.lines.iter().all(|line| context(&line)));
            }
        }

        #[test]
        fn one_change_is_one_hunk(before in proptest::collection::vec("[a-d]", 1..40), at in any::<prop::sample::Index>()) {
            let mut after = before.clone();
            after[at.index(before.len())] = "x".into();
            let diff = compared(before.join("\n").as_bytes(), after.join("\n").as_bytes());
            prop_assert_eq!(diff.hunks.len(), 1);
            let changed = diff.hunks[0].lines.iter().filter(|line| line.kind != DiffKind::Context);
            prop_assert_eq!(changed.map(|line| line.kind).collect::<Vec<_>>(), [DiffKind::Removed, DiffKind::Added]);
        }
    }
}
