//! Which bytes are text, and which words a text has. Two contents with the same text in the same encoding are
//! the same bytes; the words of a word are that word alone, so texts and queries meet.

use std::borrow::Cow;

/// Characters that a word keeps: scripts carry base64 of any length.
pub const MAX_WORD: usize = 64;

/// How a text was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    Utf8,
    Utf8Bom,
    /// With a byte order mark, as all that follow.
    Utf16Le,
    Utf16Be,
    Windows1252,
}

impl Encoding {
    pub fn as_str(self) -> &'static str {
        match self {
            Encoding::Utf8 => "utf-8",
            Encoding::Utf8Bom => "utf-8-bom",
            Encoding::Utf16Le => "utf-16le",
            Encoding::Utf16Be => "utf-16be",
            Encoding::Windows1252 => "windows-1252",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Text<'a> {
    /// Without the byte order mark.
    pub text: Cow<'a, str>,
    pub encoding: Encoding,
}

/// The text that bytes are, `None` when they are something else.
///
/// Text is UTF-8 with or without a byte order mark, or UTF-16 with one, and holds no U+0000. Other bytes are
/// taken for Windows-1252, in which old scripts are written, when they hold nothing but characters of it, tabs,
/// line ends and form feeds. UTF-16 without a mark is not guessed: short binary data would look the same.
pub fn decode(bytes: &[u8]) -> Option<Text<'_>> {
    if let Some(units) = bytes.strip_prefix(b"\xFF\xFE") {
        return utf_16(units, Encoding::Utf16Le, u16::from_le_bytes);
    }
    if let Some(units) = bytes.strip_prefix(b"\xFE\xFF") {
        return utf_16(units, Encoding::Utf16Be, u16::from_be_bytes);
    }
    let (encoding, rest) = match bytes.strip_prefix(b"\xEF\xBB\xBF") {
        Some(rest) => (Encoding::Utf8Bom, rest),
        None => (Encoding::Utf8, bytes),
    };
    match std::str::from_utf8(rest) {
        Ok(text) => (!text.contains('\0')).then_some(Text { text: text.into(), encoding }),
        Err(_) => windows_1252(bytes),
    }
}

fn utf_16(bytes: &[u8], encoding: Encoding, unit: fn([u8; 2]) -> u16) -> Option<Text<'static>> {
    let (units, []) = bytes.as_chunks() else {
        return None;
    };
    let characters = char::decode_utf16(units.iter().copied().map(unit));
    let text = characters.map(|c| c.ok().filter(|c| *c != '\0')).collect::<Option<String>>()?;
    Some(Text { text: text.into(), encoding })
}

fn windows_1252(bytes: &[u8]) -> Option<Text<'static>> {
    // Where it differs from Latin-1. What it leaves undefined is U+0000 here.
    const FROM_0X80: [char; 32] = [
        '€', '\0', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\0', 'Ž', '\0', '\0', '‘', '’',
        '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\0', 'ž', 'Ÿ',
    ];
    let character = |byte: &u8| match byte {
        0x80..=0x9F => Some(FROM_0X80[usize::from(byte - 0x80)]).filter(|c| *c != '\0'),
        b'\t' | b'\n' | b'\r' | b'\x0C' => Some(char::from(*byte)),
        0..0x20 | 0x7F => None,
        _ => Some(char::from(*byte)),
    };
    let text = bytes.iter().map(character).collect::<Option<String>>()?;
    Some(Text { text: text.into(), encoding: Encoding::Windows1252 })
}

/// The words of a text or of a query: runs of letters and digits of any script in lower case, each cut to
/// [`MAX_WORD`] characters.
pub fn words(text: &str) -> impl Iterator<Item = String> + '_ {
    // Lower case first: what it makes of a letter need not be a letter (`İ`).
    let mut characters = text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c });
    std::iter::from_fn(move || {
        let mut word = String::new();
        let mut length = 0;
        for c in characters.by_ref() {
            if !c.is_alphanumeric() {
                if length > 0 {
                    break;
                }
            } else if length < MAX_WORD {
                word.push(c);
                length += 1;
            }
        }
        (length > 0).then_some(word)
    })
}

/// The words of a text with single spaces between them: as many from its start as `max_bytes` hold.
pub fn index_text(text: &str, max_bytes: usize) -> String {
    let mut index = String::new();
    for word in words(text) {
        let space = usize::from(!index.is_empty());
        if index.len() + space + word.len() > max_bytes {
            break;
        }
        if space > 0 {
            index.push(' ');
        }
        index.push_str(&word);
    }
    index
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(bytes: &[u8]) -> Option<(String, &'static str)> {
        decode(bytes).map(|read| (read.text.into_owned(), read.encoding.as_str()))
    }

    /// What `decode` undoes.
    fn encode(text: &str, encoding: Encoding) -> Vec<u8> {
        let units = || text.encode_utf16();
        match encoding {
            Encoding::Utf8 => text.as_bytes().to_vec(),
            Encoding::Utf8Bom => [b"\xEF\xBB\xBF", text.as_bytes()].concat(),
            Encoding::Utf16Le => [0xFF, 0xFE].into_iter().chain(units().flat_map(u16::to_le_bytes)).collect(),
            Encoding::Utf16Be => [0xFE, 0xFF].into_iter().chain(units().flat_map(u16::to_be_bytes)).collect(),
            Encoding::Windows1252 => {
                let byte_of = |c: char| {
                    let is = |byte: &u8| decode(&[b'\xE9', *byte]).is_some_and(|two| two.text.ends_with(c));
                    (1..=255).find(is).expect("a character of Windows-1252")
                };
                text.chars().map(byte_of).collect()
            }
        }
    }

    #[test]
    fn texts_are_read_as_their_editors_wrote_them() {
        let cases: &[(&[u8], &str, &str)] = &[
            (b"", "", "utf-8"),
            ("Größe\r\n\x1b[1m".as_bytes(), "Größe\r\n\x1b[1m", "utf-8"),
            (b"\xEF\xBB\xBFa\n", "a\n", "utf-8-bom"),
            (b"\xEF\xBB\xBF\xEF\xBB\xBF", "\u{FEFF}", "utf-8-bom"),
            (b"\xFF\xFEa\0\n\0\x3D\xD8\xE6\xDC", "a\n\u{1F4E6}", "utf-16le"),
            (b"\xFE\xFF\0a\x20\xAC", "a€", "utf-16be"),
            (b"\xFF\xFE", "", "utf-16le"),
            (b"Gr\xF6\xDFe \x80 \x93x\x94\t\r\n\x0C", "Größe € “x”\t\r\n\u{C}", "windows-1252"),
            (b"\xEF\xBB\xBFGr\xF6\xDFe", "\u{EF}»¿Größe", "windows-1252"),
        ];
        for (bytes, text, encoding) in cases {
            assert_eq!(read(bytes), Some(((*text).to_owned(), *encoding)), "{bytes:?}");
        }
        assert!(matches!(decode(b"plain").unwrap().text, Cow::Borrowed("plain")));
    }

    #[test]
    fn other_bytes_are_not_text() {
        let cases: &[&[u8]] = &[
            b"\0",
            b"a\0",
            b"\xEF\xBB\xBFa\0",
            b"MZ\x90\0\x03",
            b"a\0b\0",
            // UTF-16: an odd byte, half a character, U+0000; UTF-32.
            b"\xFF\xFEa",
            b"\xFF\xFE\x3D\xD8a\0",
            b"\xFE\xFF\0\0",
            b"\xFF\xFE\0\0a\0\0\0",
            // Not UTF-8, and not of Windows-1252 either.
            b"\xF6\x1B",
            b"\xF6\x7F",
            b"\xF6\x81",
            b"\xF6\x9D",
            b"\x1F\x8B\x08",
        ];
        for bytes in cases {
            assert_eq!(read(bytes), None, "{bytes:?}");
        }
    }

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        let found: Vec<_> =
            words("Get-ChildItem $env:TEMP\\*.PS1; # ÜBER_größe 日本語 x²\u{1F4E6}").collect();
        assert_eq!(found, ["get", "childitem", "env", "temp", "ps1", "über", "größe", "日本語", "x²"]);
        assert_eq!(words("ΟΔΟΣ οδος").collect::<Vec<_>>(), ["οδοσ", "οδοσ"]);
        assert_eq!(words(" \n-_").next(), None);
        let blob = words(&format!("{} end", "Ä".repeat(100))).collect::<Vec<_>>();
        assert_eq!(blob, ["ä".repeat(64), "end".to_owned()]);
    }

    #[test]
    fn an_index_is_cut_at_a_word() {
        assert_eq!(index_text("One, two two;THREE", 100), "one two two three");
        assert_eq!(index_text("One, two two;THREE", 16), "one two two");
        assert_eq!(index_text("One, two", 8), "one two");
        assert_eq!(index_text("One, two", 7), "one two");
        assert_eq!(index_text("One, two", 6), "one");
        assert_eq!(index_text("One", 2), "");
    }

    #[test]
    fn lower_case_of_any_character_stays() {
        for c in '\0'..=char::MAX {
            let once: Vec<_> = words(c.encode_utf8(&mut [0; 4])).collect();
            let again: Vec<_> = once.iter().flat_map(|word| words(word)).collect();
            assert_eq!(once, again, "{c:?}");
        }
    }

    proptest! {
        #[test]
        fn a_text_comes_back_from_every_encoding(
            text in "[^\0\u{FEFF}]{0,20}",
            high in "[ a-z\u{A0}-\u{FF}€“”Ÿ]{0,20}é€",
        ) {
            for encoding in [Encoding::Utf8, Encoding::Utf8Bom, Encoding::Utf16Le, Encoding::Utf16Be] {
                let bytes = encode(&text, encoding);
                prop_assert_eq!(decode(&bytes), Some(Text { text: text.as_str().into(), encoding }));
            }
            let bytes = encode(&high, Encoding::Windows1252);
            prop_assert_eq!(decode(&bytes), Some(Text { text: high.into(), encoding: Encoding::Windows1252 }));
        }

        #[test]
        fn text_and_encoding_tell_the_bytes(
            mark in proptest::sample::select(vec!["", "\u{EF}\u{BB}\u{BF}", "\u{FF}\u{FE}", "\u{FE}\u{FF}"]),
            rest in proptest::collection::vec(prop_oneof![any::<u8>(), 32..127u8], 0..12),
        ) {
            let bytes: Vec<u8> = mark.chars().map(|c| c as u8).chain(rest).collect();
            if let Some(read) = decode(&bytes) {
                prop_assert!(!read.text.contains('\0'));
                prop_assert_eq!(encode(&read.text, read.encoding), bytes);
            }
        }

        #[test]
        fn words_of_an_index_are_those_of_its_text(text in "(\\PC|[ aBİΣς_\u{307}-]){0,40}", max in 0..60usize) {
            let all: Vec<_> = words(&text).collect();
            for word in &all {
                prop_assert!(!word.is_empty() && word.chars().count() <= MAX_WORD);
                prop_assert!(word.chars().all(char::is_alphanumeric));
                prop_assert_eq!(words(word).collect::<Vec<_>>(), [word.as_str()]);
            }
            prop_assert_eq!(index_text(&text, usize::MAX), all.join(" "));
            let index = index_text(&text, max);
            prop_assert!(index.len() <= max);
            let kept: Vec<_> = words(&index).collect();
            prop_assert!(all.starts_with(&kept));
            // As much as fits.
            let more = all[..(kept.len() + 1).min(all.len())].join(" ");
            prop_assert!(kept.len() == all.len() || more.len() > max);
        }
    }
}
