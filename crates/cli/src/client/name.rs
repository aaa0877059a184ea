//! Names in a library: the case of their letters does not count.

/// Names in a library are one name whatever the case of their letters.
pub fn same_name(a: &str, b: &str) -> bool {
    // Most names are ASCII, and most that are compared differ: that costs no copies.
    if a.is_ascii() && b.is_ascii() {
        return a.eq_ignore_ascii_case(b);
    }
    a.to_lowercase() == b.to_lowercase()
}

#[cfg(test)]
mod tests {
    use super::same_name;

    #[test]
    fn the_case_of_letters_makes_no_other_name() {
        for (a, b) in [("a", "A"), ("Über.ps1", "üBER.ps1"), ("\u{212a}", "k"), ("a", "a")] {
            assert!(same_name(a, b), "{a} {b}");
        }
        for (a, b) in [("a", "b"), ("a", "ab"), ("u", "ü")] {
            assert!(!same_name(a, b), "{a} {b}");
        }
    }
}
