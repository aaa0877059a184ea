//! `Content-Disposition` for names of any kind: in letters that every client reads, and beside them exactly.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// All but what RFC 8187 calls `attr-char`.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'!')
    .remove(b'#')
    .remove(b'$')
    .remove(b'&')
    .remove(b'+')
    .remove(b'-')
    .remove(b'.')
    .remove(b'^')
    .remove(b'_')
    .remove(b'`')
    .remove(b'|')
    .remove(b'~');

/// To be saved under this name and not to be shown.
pub fn attachment(name: &str) -> String {
    // Some clients decode percent signs here, and some end the name at a quote or semicolon even if it is quoted.
    let plain =
        |c: char| if c.is_ascii_alphanumeric() || " !#$&'()+,-.=@[]^_`{}~".contains(c) { c } else { '_' };
    let fallback: String = name.chars().map(plain).collect();
    format!("attachment; filename=\"{fallback}\"; filename*=UTF-8''{}", utf8_percent_encode(name, ENCODED))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::attachment;

    #[test]
    fn names_are_told_twice() {
        for (name, wanted) in [
            ("triage.ps1", r#"filename="triage.ps1"; filename*=UTF-8''triage.ps1"#),
            ("a b'(c).ps1", r#"filename="a b'(c).ps1"; filename*=UTF-8''a%20b%27%28c%29.ps1"#),
            (r#"a";b.ps1"#, r#"filename="a__b.ps1"; filename*=UTF-8''a%22%3Bb.ps1"#),
            ("100%.sh", r#"filename="100_.sh"; filename*=UTF-8''100%25.sh"#),
            ("naïve.py", r#"filename="na_ve.py"; filename*=UTF-8''na%C3%AFve.py"#),
            ("日本.exe", r#"filename="__.exe"; filename*=UTF-8''%E6%97%A5%E6%9C%AC.exe"#),
            ("\u{202e}gpj.exe", r#"filename="_gpj.exe"; filename*=UTF-8''%E2%80%AEgpj.exe"#),
        ] {
            assert_eq!(attachment(name), format!("attachment; {wanted}"));
        }
    }

    proptest! {
        #[test]
        fn every_name_comes_back(name in any::<String>()) {
            let value = attachment(&name);
            prop_assert!(value.bytes().all(|b| (b' '..0x7f).contains(&b)), "{value}");
            let rest = value.strip_prefix("attachment; filename=\"").unwrap();
            let (fallback, rest) = rest.split_once('"').unwrap();
            prop_assert!(!fallback.contains(['%', '\\', ';', '/']), "{fallback}");
            prop_assert_eq!(fallback.chars().count(), name.chars().count());
            let exact = rest.strip_prefix("; filename*=UTF-8''").unwrap();
            prop_assert!(!exact.contains([' ', '"', '\'', ';', ',', '*', '(', '/']), "{exact}");
            let decoded = percent_encoding::percent_decode_str(exact).decode_utf8().unwrap();
            prop_assert_eq!(decoded, name);
        }
    }
}
