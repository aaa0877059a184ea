//! Input: the name of a file, or the parameters of a `Content-Disposition`.
#![no_main]

use std::path::{Component, Path};

use jumpbag_fuzz::library::name::{FileName, Strictness};
use jumpbag_fuzz::multipart::{Limits, MultipartError, boundary};
use jumpbag_fuzz::read_form;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(Some(name)) = file_name(input) {
        assert!(name.len() <= Limits::NAME);
        check_rules(&name);
    }
    if let Ok(name) = std::str::from_utf8(input) {
        check_rules(name);
        check_transport(name);
    }
});

/// A name that passed is one visible path component.
fn check_rules(name: &str) {
    let strict = FileName::parse(name, Strictness::Strict);
    let relaxed = FileName::parse(name, Strictness::Relaxed);
    let parsed = match (strict, relaxed) {
        (Ok(strict), relaxed) => {
            assert_eq!(relaxed.as_ref(), Ok(&strict));
            assert!(
                name.bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            );
            strict
        }
        (Err(_), Ok(relaxed)) => relaxed,
        (Err(_), Err(error)) => return assert!(!error.to_string().chars().any(char::is_control)),
    };
    assert_eq!(parsed.as_str(), name);
    assert!((1..=255).contains(&name.len()));
    assert!(!name.chars().any(|c| c.is_control() || c == '\\'));
    assert_eq!(name.trim(), name);
    let components: Vec<_> = Path::new(name).components().collect();
    assert!(matches!(components[..], [Component::Normal(only)] if only == name));
    assert_eq!(parsed.key().to_lowercase(), parsed.key());
}

/// A name comes out of a form as it was put in, however it is written.
fn check_transport(name: &str) {
    let percent: String = name.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let extended = file_name(format!("filename=x; filename*=utf-8''{percent}").as_bytes());
    assert_came_through(extended, name);

    let encoded_word = name.trim_ascii_start().starts_with("=?");
    if !name.contains('\n') && !encoded_word {
        let quoted = name.replace('\\', r"\\").replace('"', "\\\"");
        let quoted = file_name(format!("filename=\"{quoted}\"").as_bytes());
        assert_came_through(quoted, &name.replace("%22", "\""));
    }
}

fn assert_came_through(read: Result<Option<String>, MultipartError>, name: &str) {
    match read {
        Ok(read) => assert_eq!(read.as_deref(), Some(name)),
        Err(MultipartError::HeaderTooLarge { .. }) => assert!(name.len() > Limits::NAME),
        Err(error) => assert!(name.len() > Limits::NAME, "{error}"),
    }
}

/// The file name in a part whose disposition has these parameters.
fn file_name(params: &[u8]) -> Result<Option<String>, MultipartError> {
    let boundary = boundary(Some("multipart/form-data; boundary=b")).expect("a boundary");
    let head = b"--b\r\nContent-Disposition: form-data; name=f; ";
    let body = [head, params, b"\r\n\r\n\r\n--b--\r\n"].concat();
    let (parts, error) = read_form(&boundary, std::iter::once(&body[..]));
    match error {
        Some(error) => Err(error),
        None => Ok(parts.into_iter().next().expect("a part").file_name),
    }
}
