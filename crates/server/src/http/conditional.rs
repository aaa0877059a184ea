//! Conditions on entity tags, in the header fields of requests.

use http::{HeaderMap, HeaderName, header};

/// Whether `If-None-Match` names this tag, weak or not, or any: the client knows what it would be sent.
pub fn knows(headers: &HeaderMap, etag: &str) -> bool {
    let bare = etag.trim_start_matches("W/");
    tags(headers, &header::IF_NONE_MATCH).any(|tag| tag == "*" || tag.trim_start_matches("W/") == bare)
}

/// Whether a condition names exactly this tag, or any; a weak one is never exact.
pub fn names(headers: &HeaderMap, condition: &HeaderName, etag: &str) -> bool {
    tags(headers, condition).any(|tag| tag == "*" || (tag == etag && !tag.starts_with("W/")))
}

/// No tag that is made here has a comma in it, so that half of somebody else's does not pass for one of ours.
fn tags<'a>(headers: &'a HeaderMap, condition: &HeaderName) -> impl Iterator<Item = &'a str> {
    let values = headers.get_all(condition).iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).map(str::trim)
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
}
