//! Arguments of a script as one text, the only form that both servers take: split again at blanks outside of quotes, it
//! gives back exactly these arguments.

use crate::failure::Failure;

/// # Errors
/// When an argument cannot be said this way.
pub fn joined(args: &[String]) -> Result<String, Failure> {
    let quoted = args.iter().map(|arg| quoted(arg)).collect::<Result<Vec<_>, _>>()?;
    Ok(quoted.join(" "))
}

fn quoted(arg: &str) -> Result<String, Failure> {
    if arg.contains('\0') {
        return Err(Failure::Usage(format!(
            "`{}` holds U+0000: no program can be given that",
            arg.escape_debug()
        )));
    }
    let special = |c: char| c.is_whitespace() || c == '"' || c == '\'';
    Ok(if !arg.is_empty() && !arg.contains(special) {
        arg.to_owned()
    } else if !arg.contains('"') {
        format!("\"{arg}\"")
    } else if !arg.contains('\'') {
        format!("'{arg}'")
    } else {
        // Within double quotes two of them are one.
        format!("\"{}\"", arg.replace('"', "\"\""))
    })
}

#[cfg(test)]
mod tests {
    use super::joined;

    /// The rules of docs/wire.md ("Arguments"): blanks separate, quotes of both kinds hold together, and `""` within
    /// double quotes is a quote.
    fn split(text: &str) -> Option<Vec<String>> {
        let (mut args, mut arg, mut open) = (Vec::new(), None::<String>, None);
        let mut rest = text.chars().peekable();
        while let Some(c) = rest.next() {
            match open {
                Some('"') if c == '"' && rest.peek() == Some(&'"') => {
                    rest.next();
                    arg.get_or_insert_default().push('"');
                }
                Some(quote) if c == quote => open = None,
                Some(_) => arg.get_or_insert_default().push(c),
                None if c == '"' || c == '\'' => {
                    arg.get_or_insert_default();
                    open = Some(c);
                }
                None if c.is_whitespace() => args.extend(arg.take()),
                None => arg.get_or_insert_default().push(c),
            }
        }
        args.extend(arg);
        open.is_none().then_some(args)
    }

    fn owned(args: &[&str]) -> Vec<String> {
        args.iter().map(|arg| (*arg).to_owned()).collect()
    }

    #[test]
    fn what_needs_no_quotes_has_none() {
        let args = owned(&["-n", "C:\\x\\", "a;b|$(c)&!", "two words", "it's", "say \"hi\"", "\"'", ""]);
        let text = r#"-n C:\x\ a;b|$(c)&! "two words" "it's" 'say "hi"' """'" """#;
        assert_eq!(joined(&args).expect("no NUL"), text);
        assert!(joined(&owned(&["a\0b"])).is_err());
    }

    #[test]
    fn any_arguments_come_back_as_they_were() {
        let letters =
            ['a', '"', '\'', ' ', '\t', '\n', '\\', '\u{a0}', '\u{3000}', 'ä', '😀', '$', '`', '-', '\u{1}'];
        // xorshift: the same arguments each time.
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = |below: u64| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state % below
        };
        for _ in 0..20_000 {
            let args: Vec<String> = (0..next(5))
                .map(|_| (0..next(7)).map(|_| letters[next(letters.len() as u64) as usize]).collect())
                .collect();
            let text = joined(&args).expect("no NUL");
            assert_eq!(split(&text), Some(args), "{text}");
        }
    }
}
