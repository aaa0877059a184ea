//! What differs between two versions of a file, line by line. Whatever differs shows: where the lines do not,
//! the encodings or the digests do.

use std::fmt::Write;

use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Diff {
    pub from: DiffSide,
    pub to: DiffSide,
    /// Whether both versions have the same bytes.
    pub identical: bool,
    /// Whether one of the versions at least is no text; then there are no hunks.
    pub binary: bool,
    /// Empty too when two texts differ in their encoding alone.
    pub hunks: Vec<Hunk>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiffSide {
    pub version: u64,
    /// SHA-256 of the bytes, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Bytes.
    pub size: u64,
    /// `utf-8`, `utf-8-bom`, `utf-16le`, `utf-16be`, `windows-1252`; `null` when the bytes are no text.
    pub encoding: Option<String>,
}

/// Lines that changed, with up to three around them that did not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Hunk {
    /// Number of the first of these lines, counted from 1; with no lines, of the line before them.
    pub from_start: u64,
    pub from_lines: u64,
    pub to_start: u64,
    pub to_lines: u64,
    pub lines: Vec<DiffLine>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DiffLine {
    pub kind: DiffKind,
    /// Without the line feed at its end, but with the carriage return before that.
    pub text: String,
    /// The file ends here, without a line feed. Left out when false.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub no_line_feed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub enum DiffKind {
    /// In both versions.
    Context,
    Removed,
    Added,
}

impl DiffKind {
    /// The character before such a line in a unified diff.
    pub fn sign(self) -> char {
        match self {
            DiffKind::Context => ' ',
            DiffKind::Removed => '-',
            DiffKind::Added => '+',
        }
    }
}

impl Diff {
    /// The classic text of a diff, which `patch` applies when the texts are UTF-8. Empty when nothing differs.
    pub fn unified(&self, name: &str) -> String {
        let mut text = String::new();
        if self.identical {
            return text;
        }
        let name = header_name(name);
        let (from, to) = (&self.from, &self.to);
        if self.binary {
            let (from, to) = (from.version, to.version);
            return format!("Binary files {name} version {from} and {name} version {to} differ\n");
        }
        if from.encoding != to.encoding {
            let name_of = |side: &DiffSide| side.encoding.clone().unwrap_or_default();
            text = format!("Encoding of {name} changes from {} to {}\n", name_of(from), name_of(to));
        }
        if !self.hunks.is_empty() {
            let (from, to) = (from.version, to.version);
            text += &format!("--- {name}\tversion {from}\n+++ {name}\tversion {to}\n");
        }
        for hunk in &self.hunks {
            hunk.write(&mut text);
        }
        text
    }
}

impl Hunk {
    fn write(&self, text: &mut String) {
        let Hunk { from_start, from_lines, to_start, to_lines, .. } = self;
        // Writing to a string does not fail.
        let _ = writeln!(text, "@@ -{from_start},{from_lines} +{to_start},{to_lines} @@");
        for line in &self.lines {
            text.push(line.kind.sign());
            text.push_str(&line.text);
            text.push('\n');
            if line.no_line_feed {
                text.push_str("\\ No newline at end of file\n");
            }
        }
    }
}

/// A name as `patch` reads it: in quotation marks, with escapes, where it would be misunderstood.
fn header_name(name: &str) -> String {
    let special = |c: char| c.is_control() || matches!(c, '"' | '\\');
    if !name.contains(special) {
        return name.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in name.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                for byte in c.encode_utf8(&mut [0; 4]).bytes() {
                    let _ = write!(quoted, "\\{byte:03o}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    fn side(version: u64, encoding: Option<&str>) -> DiffSide {
        DiffSide { version, sha256: "00".into(), size: 2, encoding: encoding.map(str::to_owned) }
    }

    fn line(kind: DiffKind, text: &str, no_line_feed: bool) -> DiffLine {
        DiffLine { kind, text: text.to_owned(), no_line_feed }
    }

    fn one_line() -> Diff {
        let lines = vec![line(DiffKind::Removed, "a\r", false), line(DiffKind::Added, "b", true)];
        let hunk = Hunk { from_start: 1, from_lines: 1, to_start: 1, to_lines: 1, lines };
        Diff {
            from: side(1, Some("utf-8")),
            to: side(3, Some("utf-8")),
            identical: false,
            binary: false,
            hunks: vec![hunk],
        }
    }

    #[test]
    fn a_diff_is_plain_data() {
        let written = serde_json::to_string(&one_line()).unwrap();
        assert_eq!(
            written,
            concat!(
                r#"{"from":{"version":1,"sha256":"00","size":2,"encoding":"utf-8"},"#,
                r#""to":{"version":3,"sha256":"00","size":2,"encoding":"utf-8"},"#,
                r#""identical":false,"binary":false,"#,
                r#""hunks":[{"fromStart":1,"fromLines":1,"toStart":1,"toLines":1,"lines":["#,
                r#"{"kind":"removed","text":"a\r"},{"kind":"added","text":"b","noLineFeed":true}]}]}"#
            )
        );
        assert_eq!(serde_json::from_str::<Diff>(&written).unwrap(), one_line());
    }

    #[test]
    fn the_classic_text_says_everything_that_differs() {
        assert_eq!(
            one_line().unified("a b.ps1"),
            "--- a b.ps1\tversion 1\n+++ a b.ps1\tversion 3\n@@ -1,1 +1,1 @@\n-a\r\n+b\n\\ No newline at end of file\n"
        );
        let encoding = Diff { to: side(3, Some("utf-16le")), hunks: vec![], ..one_line() };
        assert_eq!(encoding.unified("a"), "Encoding of a changes from utf-8 to utf-16le\n");
        let both = Diff { to: side(3, Some("utf-16le")), ..one_line() };
        assert!(
            both.unified("a").starts_with("Encoding of a changes from utf-8 to utf-16le\n--- a\tversion 1\n")
        );
        let binary = Diff { to: side(3, None), binary: true, hunks: vec![], ..one_line() };
        assert_eq!(binary.unified("a"), "Binary files a version 1 and a version 3 differ\n");
        let identical = Diff { identical: true, hunks: vec![], ..one_line() };
        assert_eq!(identical.unified("a"), "");
    }

    #[test]
    fn a_name_cannot_break_its_line() {
        let text = one_line().unified("say \"hi\"\n+++ \\ü");
        assert!(text.starts_with("--- \"say \\\"hi\\\"\\012+++ \\\\ü\"\tversion 1\n+++ \""), "{text}");
    }
}
