//! Names of library files. A [`FileName`] has passed every rule, so it is one path component that any
//! endpoint can store, shows as it is written, and never reaches outside the folder it is put in.

use std::fmt;

/// The longest name, in bytes of UTF-8: what common file systems store as one component.
pub const MAX_BYTES: usize = 255;

/// Which names are allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strictness {
    /// Every name that an endpoint can store safely.
    Relaxed,
    /// Only ASCII letters, digits, `-`, `_` and `.`, as in the console of the original service.
    Strict,
}

/// The name of a library file, in the case it was given.
///
/// Names are unique ignoring case: compare by [`FileName::key`].
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct FileName(String);

/// The rule that a refused name breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("the file name is empty; it must have 1 to {MAX_BYTES} bytes")]
    Empty,
    #[error("the file name has {bytes} bytes of UTF-8; at most {MAX_BYTES} are allowed")]
    TooLong { bytes: usize },
    #[error("the file name holds the path separator `{separator}`; send the bare name without folders")]
    Separator { separator: char },
    #[error("the file name holds `:`, which on Windows ends a drive's name and begins a stream's; remove it")]
    Colon,
    #[error(
        "the file name holds the control character U+{:04X}; only visible characters are allowed",
        u32::from(*.codepoint)
    )]
    Control { codepoint: char },
    #[error("the file name is `.` or `..`, which means a folder; a file needs a name of its own")]
    Dot,
    #[error("the file name begins or ends in a space or a dot; remove it")]
    EdgeSpaceOrDot,
    #[error(
        "the file name is `{device}`, a device on Windows with or without an extension; choose another name"
    )]
    WindowsReserved { device: String },
    #[error("the file name holds `{found}`; only letters A to Z, digits, `-`, `_` and `.` are allowed here")]
    NotStrict { found: char },
}

/// The form in which a name is compared, whether it may be a file's or not.
pub fn key(name: &str) -> String {
    name.to_lowercase()
}

impl FileName {
    /// Checks `name` against every rule. It is taken as it is: nothing is trimmed, cut or decoded.
    ///
    /// Fails on the first rule broken: 1 to 255 bytes; not `.` or `..`; neither `/` nor `\` nor `:`,
    /// which on Windows ends a drive's name and begins a stream's; no control
    /// character; no space (of any script) or dot at either end; no name that Windows reserves
    /// (`CON`, `nul.txt`, `COM1`, `lpt³.ps1`, `CONIN$`); and under [`Strictness::Strict`] nothing but ASCII
    /// letters, digits, `-`, `_`, `.`.
    ///
    /// Control characters are those of Unicode's category Cc, and the invisible ones that reorder or break
    /// the text around them, so that `evil<U+202E>1sp.exe` cannot be shown as `evilexe.ps1`: the
    /// directional marks, embeddings, overrides and isolates (U+061C, U+200E, U+200F, U+202A to U+202E,
    /// U+2066 to U+2069), the line and paragraph separators (U+2028, U+2029) and the byte order mark (U+FEFF).
    pub fn parse(name: &str, strictness: Strictness) -> Result<FileName, NameError> {
        if name.is_empty() {
            return Err(NameError::Empty);
        }
        if name.len() > MAX_BYTES {
            return Err(NameError::TooLong { bytes: name.len() });
        }
        if name == "." || name == ".." {
            return Err(NameError::Dot);
        }
        if let Some(separator) = name.chars().find(|c| matches!(c, '/' | '\\')) {
            return Err(NameError::Separator { separator });
        }
        if name.contains(':') {
            return Err(NameError::Colon);
        }
        if let Some(codepoint) = name.chars().find(|c| is_control(*c)) {
            return Err(NameError::Control { codepoint });
        }
        let at_edge = |c: char| c == '.' || c.is_whitespace();
        if name.starts_with(at_edge) || name.ends_with(at_edge) {
            return Err(NameError::EdgeSpaceOrDot);
        }
        if let Some(device) = windows_device(name) {
            return Err(NameError::WindowsReserved { device: device.to_owned() });
        }
        if strictness == Strictness::Strict
            && let Some(found) =
                name.chars().find(|c| !c.is_ascii_alphanumeric() && !matches!(c, '-' | '_' | '.'))
        {
            return Err(NameError::NotStrict { found });
        }
        Ok(FileName(name.to_owned()))
    }

    /// The name in the case it was given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The form in which names are compared: Unicode lower case. Two names with one key are one file.
    pub fn key(&self) -> String {
        key(&self.0)
    }
}

impl fmt::Display for FileName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Whether a character cannot be seen, or reorders or breaks the text around it.
pub(super) fn is_control(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{061C}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2066}'..='\u{2069}' | '\u{FEFF}')
}

/// The device that Windows would open instead of a file of this name.
fn windows_device(name: &str) -> Option<&str> {
    // Windows looks no further than the first dot, nor at spaces before it: `nul .txt` is `nul`.
    let stem = name.split('.').next().unwrap_or(name).trim_end_matches(' ');
    let plain = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    let numbered = || {
        let (kind, number) = stem.split_at_checked(3)?;
        let digit = matches!(number, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9" | "¹" | "²" | "³");
        (digit && ["com", "lpt"].iter().any(|it| it.eq_ignore_ascii_case(kind))).then_some(())
    };
    (plain.iter().any(|it| it.eq_ignore_ascii_case(stem)) || numbered().is_some()).then_some(stem)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_rule_refuses_its_names() {
        let long = "é".repeat(128);
        let device = |device: &str| NameError::WindowsReserved { device: device.to_owned() };
        let cases: &[(&str, NameError)] = &[
            ("", NameError::Empty),
            (&long, NameError::TooLong { bytes: 256 }),
            (".", NameError::Dot),
            ("..", NameError::Dot),
            (r"C:\x\a.ps1", NameError::Separator { separator: '\\' }),
            ("../a", NameError::Separator { separator: '/' }),
            ("/", NameError::Separator { separator: '/' }),
            (r"\\host\share\a", NameError::Separator { separator: '\\' }),
            ("a\0.ps1", NameError::Control { codepoint: '\0' }),
            ("a\nb", NameError::Control { codepoint: '\n' }),
            ("\tb", NameError::Control { codepoint: '\t' }),
            ("a\u{7f}", NameError::Control { codepoint: '\u{7f}' }),
            ("a\u{85}b", NameError::Control { codepoint: '\u{85}' }),
            ("evil\u{202E}1sp.exe", NameError::Control { codepoint: '\u{202E}' }),
            ("a\u{202A}b", NameError::Control { codepoint: '\u{202A}' }),
            ("a\u{2066}b", NameError::Control { codepoint: '\u{2066}' }),
            ("a\u{2069}b", NameError::Control { codepoint: '\u{2069}' }),
            ("a\u{061C}b", NameError::Control { codepoint: '\u{061C}' }),
            ("a\u{200E}b", NameError::Control { codepoint: '\u{200E}' }),
            ("a\u{200F}b", NameError::Control { codepoint: '\u{200F}' }),
            ("a\u{2028}b", NameError::Control { codepoint: '\u{2028}' }),
            ("a\u{2029}b", NameError::Control { codepoint: '\u{2029}' }),
            ("\u{FEFF}a.ps1", NameError::Control { codepoint: '\u{FEFF}' }),
            (" a", NameError::EdgeSpaceOrDot),
            ("a ", NameError::EdgeSpaceOrDot),
            (".profile", NameError::EdgeSpaceOrDot),
            ("a.", NameError::EdgeSpaceOrDot),
            ("...", NameError::EdgeSpaceOrDot),
            ("a\u{A0}", NameError::EdgeSpaceOrDot),
            ("\u{3000}a", NameError::EdgeSpaceOrDot),
            ("CON", device("CON")),
            ("Prn.txt", device("Prn")),
            ("aux.tar.gz", device("aux")),
            ("nul .txt", device("nul")),
            ("nul:stream", NameError::Colon),
            ("a.ps1:stream", NameError::Colon),
            ("C:a.ps1", NameError::Colon),
            ("COM1", device("COM1")),
            ("com9.ps1", device("com9")),
            ("LPT¹", device("LPT¹")),
            ("lpt³.ps1", device("lpt³")),
            ("ConIn$", device("ConIn$")),
            ("CONOUT$.log", device("CONOUT$")),
        ];
        for (name, expected) in cases {
            assert_eq!(
                FileName::parse(name, Strictness::Relaxed).as_ref(),
                Err(expected),
                "{}",
                name.escape_debug()
            );
        }
    }

    #[test]
    fn relaxed_names_are_kept_as_they_are() {
        let longest = "a".repeat(255);
        let names = [
            "file",
            "a.ps1",
            "a b.ps1",
            "a..b",
            "%20.ps1",
            "ü日本.ps1",
            "say \"hi\".ps1",
            "a;b=c'd.sh",
            "what?.ps1",
            "<a>|*",
            "com",
            "com0",
            "com10",
            "lpt",
            "console.ps1",
            "nullify",
            "co\u{e9}",
            "-rf",
            "_",
            "👩\u{200D}💻.sh",
            &longest,
        ];
        for name in names {
            assert_eq!(FileName::parse(name, Strictness::Relaxed).unwrap().as_str(), name);
        }
    }

    #[test]
    fn strict_names_are_ascii_words() {
        assert!(FileName::parse("Get-Info_2.ps1", Strictness::Strict).is_ok());
        for (name, found) in [("a b", ' '), ("ü", 'ü'), ("a%20", '%'), ("say\"", '"'), ("a١", '١')] {
            assert_eq!(FileName::parse(name, Strictness::Strict), Err(NameError::NotStrict { found }));
        }
        assert_eq!(FileName::parse("a/b", Strictness::Strict), Err(NameError::Separator { separator: '/' }));
    }

    #[test]
    fn keys_ignore_case_beyond_ascii() {
        let key = |name| FileName::parse(name, Strictness::Relaxed).unwrap().key();
        assert_eq!(key("Ünï.PS1"), key("üNÏ.ps1"));
        assert_ne!(key("a.ps1"), key("b.ps1"));
    }

    #[test]
    fn messages_name_the_rule() {
        let message =
            |name| FileName::parse(name, Strictness::Relaxed).map_err(|error| error.to_string()).unwrap_err();
        insta::assert_snapshot!(
            message("a\u{202E}b"),
            @"the file name holds the control character U+202E; only visible characters are allowed"
        );
        insta::assert_snapshot!(
            message("nul.txt"),
            @"the file name is `nul`, a device on Windows with or without an extension; choose another name"
        );
        insta::assert_snapshot!(
            message("../a"),
            @"the file name holds the path separator `/`; send the bare name without folders"
        );
    }

    proptest! {
        #[test]
        fn a_parsed_name_is_one_visible_component(name in r#"[\PC\p{Cc}\p{Cf}./\\ a-z]{0,12}"#) {
            if let Ok(parsed) = FileName::parse(&name, Strictness::Relaxed) {
                prop_assert_eq!(parsed.as_str(), name.as_str());
                prop_assert!(!name.contains(['/', '\\']) && !name.chars().any(char::is_control));
                prop_assert_eq!(name.trim(), name.as_str());
                let mut components = std::path::Path::new(&name).components();
                let only = components.next();
                prop_assert!(matches!(only, Some(std::path::Component::Normal(part)) if part == name.as_str()));
                prop_assert!(components.next().is_none());
                // The key of a name in any case is one and the same.
                let folded = parsed.key();
                prop_assert_eq!(folded.to_lowercase(), folded);
            }
        }

        #[test]
        fn a_strict_name_is_a_relaxed_one(name in "[a-zA-Z0-9._ü-]{0,6}") {
            if let Ok(strict) = FileName::parse(&name, Strictness::Strict) {
                prop_assert_eq!(FileName::parse(&name, Strictness::Relaxed), Ok(strict));
            }
        }
    }
}
