//! The conditions of a request that changes a file: `If-Match` and `If-None-Match`.

use axum::response::Response;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use jumpbag_wire::library::LibraryFile;

use crate::error::Error;
use crate::library::expect::{Expect, tag};

/// What a request expects of the file it changes.
///
/// # Errors
/// `InvalidInput` when a header is none that can be answered.
pub fn expected(headers: &HeaderMap) -> Result<Expect, Error> {
    let matching = listed(headers, header::IF_MATCH)?;
    match (matching, listed(headers, header::IF_NONE_MATCH)?) {
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

/// What a header that may come several times lists, separated by commas.
fn listed(headers: &HeaderMap, name: HeaderName) -> Result<Option<Vec<String>>, Error> {
    let mut tags = Vec::new();
    for value in headers.get_all(&name) {
        let text = value
            .to_str()
            .map_err(|_| Error::InvalidInput(format!("the header `{name}` is not ASCII text")))?;
        tags.extend(text.split(',').map(str::trim).filter(|tag| !tag.is_empty()).map(str::to_owned));
    }
    Ok(headers.contains_key(&name).then_some(tags))
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
    use http::{HeaderMap, HeaderName, HeaderValue};

    use super::expected;
    use crate::library::expect::Expect;

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
