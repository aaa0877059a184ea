//! Conditions on entity tags, in the header fields of requests: what the client knows already, and what it expects of a
//! file that it changes.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jumpbag_wire::library::LibraryFile;

use crate::error::Error;
use crate::library::expect::{Expect, tag};

/// Whether `If-None-Match` names this tag, weak or not, or any: the client knows what it would be sent.
pub fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let bare = etag.trim_start_matches("W/");
    tags(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.trim_start_matches("W/") == bare)
}

/// Whether a condition names exactly this tag, or any; a weak one is never exact.
pub fn names(headers: &HeaderMap, condition: &HeaderName, etag: &str) -> bool {
    tags(headers, condition).any(|tag| tag == "*" || (tag == etag && !tag.starts_with("W/")))
}

/// What a request expects of the file it changes.
///
/// # Errors
/// `InvalidInput` when a header is none that can be answered.
pub fn expected(headers: &HeaderMap) -> Result<Expect, Error> {
    let listed = |name| {
        headers
            .contains_key(&name)
            .then(|| tags(headers, &name).filter(|tag| !tag.is_empty()).collect::<Vec<_>>())
    };
    match (listed(header::IF_MATCH), listed(header::IF_NONE_MATCH)) {
        (None, None) => Ok(Expect::Anything),
        (Some(_), Some(_)) => {
            Err(Error::InvalidInput("`If-Match` and `If-None-Match` do not go together: send one".into()))
        }
        (Some(tags), None) if tags == ["*"] => Ok(Expect::Present),
        (Some(tags), None) => {
            tags.iter().map(|tag| unquoted(tag)).collect::<Result<_, _>>().map(Expect::OneOf)
        }
        (None, Some(tags)) if tags == ["*"] => Ok(Expect::Absent),
        (None, Some(_)) => Err(Error::InvalidInput(
            "`If-None-Match` on a change can only be `*`: the file must not exist".into(),
        )),
    }
}

/// No tag that is made here has a comma in it, so that half of somebody else's does not pass for one of ours.
fn tags<'a>(headers: &'a HeaderMap, condition: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(condition).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
}

/// No entity tag of a file contains a comma or a quote.
fn unquoted(tag: &str) -> Result<String, Error> {
    let inner = tag.strip_prefix('"').and_then(|tag| tag.strip_suffix('"'));
    // A weak tag is one that never matches here.
    let inner = inner.or_else(|| tag.starts_with("W/\"").then_some(tag));
    inner.map(str::to_owned).ok_or_else(|| {
        let shown: String = tag.chars().take(80).collect();
        Error::InvalidInput(format!(
            "`{shown}` in `If-Match` is no entity tag: expected the SHA-256 or the `ETag` of the file in double quotes"
        ))
    })
}

/// Tells the file's own entity tag.
pub fn marked(mut response: Response, file: &LibraryFile) -> Response {
    if let Ok(etag) = HeaderValue::from_str(&format!("\"{}\"", tag(file))) {
        response.headers_mut().insert(header::ETAG, etag);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(condition: HeaderName, values: &[&str]) -> HeaderMap {
        values.iter().map(|value| (condition.clone(), value.parse().unwrap())).collect()
    }

    #[test]
    fn tags_match_weakly_or_exactly() {
        for (values, weak, exact) in [
            (&["\"a\""][..], true, true),
            (&["W/\"a\""], true, false),
            (&["*"], true, true),
            (&["\"b\"", "\"c\", \"a\" "], true, true),
            (&["\"b\""], false, false),
            (&["a"], false, false),
            (&["\"A\""], false, false),
            (&[""], false, false),
            (&[], false, false),
        ] {
            assert_eq!(knows(&with(header::IF_NONE_MATCH, values), "\"a\""), weak, "{values:?}");
            assert_eq!(knows(&with(header::IF_NONE_MATCH, values), "W/\"a\""), weak, "{values:?}");
            assert_eq!(
                names(&with(header::IF_MATCH, values), &header::IF_MATCH, "\"a\""),
                exact,
                "{values:?}"
            );
        }
    }

    fn of(fields: &[(&str, &str)]) -> Result<Expect, String> {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            headers.append(name, HeaderValue::from_str(value).unwrap());
        }
        expected(&headers).map_err(|e| e.to_string())
    }

    #[test]
    fn conditions_are_read_and_odd_ones_refused() {
        let tags = |tags: &[&str]| Ok(Expect::OneOf(tags.iter().map(|tag| (*tag).to_owned()).collect()));
        assert_eq!(of(&[]), Ok(Expect::Anything));
        assert_eq!(of(&[("if-match", "*")]), Ok(Expect::Present));
        assert_eq!(of(&[("if-none-match", " * ")]), Ok(Expect::Absent));
        assert_eq!(of(&[("if-match", "\"7-1\", \"ab\""), ("if-match", "\"c\"")]), tags(&["7-1", "ab", "c"]));
        assert_eq!(of(&[("if-match", "W/\"7-1\"")]), tags(&["W/\"7-1\""]));
        assert_eq!(of(&[("if-match", "")]), tags(&[]));
        for bad in [
            [("if-match", "7-1")].as_slice(),
            &[("if-match", "\"a\", b")],
            &[("if-match", "*, \"a\"")],
            &[("if-none-match", "\"a\"")],
            &[("if-match", "*"), ("if-none-match", "*")],
        ] {
            assert!(of(bad).is_err(), "{bad:?}");
        }
    }
}
