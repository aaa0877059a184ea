//! Arguments in one text, as the original's console takes them. No shell ever sees them.

/// The arguments in one text: separated by blanks; what stands in double or single quotes is one argument, and `""`
/// within double quotes is a quote. Nothing else has a meaning, a backslash for one.
///
/// # Errors
/// When a quote is not closed.
pub fn split(text: &str) -> Result<Vec<String>, String> {
    let mut args = Vec::new();
    let mut characters = text.chars().peekable();
    let mut current: Option<String> = None;
    while let Some(c) = characters.next() {
        match c {
            '"' | '\'' => {
                let arg = current.get_or_insert_default();
                loop {
                    match characters.next() {
                        Some(end) if end == c && c == '"' && characters.peek() == Some(&'"') => {
                            characters.next();
                            arg.push('"');
                        }
                        Some(end) if end == c => break,
                        Some(inner) => arg.push(inner),
                        None => return Err(format!("`Args` has a {c} that is not closed")),
                    }
                }
            }
            blank if blank.is_whitespace() => args.extend(current.take()),
            other => current.get_or_insert_default().push(other),
        }
    }
    args.extend(current);
    Ok(args)
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn arguments_are_split_at_blanks_outside_of_quotes() {
        for (text, args) in [
            ("", vec![]),
            ("  ", vec![]),
            ("a b\tc", vec!["a", "b", "c"]),
            (r#"-name "two words" -x='1 2'"#, vec!["-name", "two words", "-x=1 2"]),
            (r#""" '' "a""b""#, vec!["", "", "a\"b"]),
            (r"C:\x\ ; & | $(y)", vec![r"C:\x\", ";", "&", "|", "$(y)"]),
        ] {
            assert_eq!(split(text).unwrap(), args, "{text}");
        }
        assert!(split("a \"b").is_err());
        assert!(split("it's").is_err());
    }
}
