use super::*;

const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";

fn query(changes: &[(&str, &str)]) -> String {
    let mut pairs = vec![
        ("client_id", "app"),
        ("redirect_uri", "https://app.example/cb"),
        ("response_type", "code"),
        ("scope", "openid"),
        ("state", "s&1"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    pairs.retain(|(name, _)| !changes.iter().any(|(changed, _)| changed == name));
    pairs.extend(changes.iter().filter(|(_, value)| !value.is_empty()));
    with_query("", &pairs)[1..].to_owned()
}

#[test]
fn a_request_is_read_whole() {
    let asked = Asked::parse(&query(&[("nonce", "n"), ("max_age", "60"), ("login_hint", "ada")])).unwrap();
    assert_eq!((asked.client_id.as_str(), asked.state.as_deref()), ("app", Some("s&1")));
    let details = asked.rest.unwrap();
    assert_eq!((details.nonce.as_deref(), details.max_age), (Some("n"), Some(60)));
    assert_eq!((details.prompt, details.login_hint.as_deref()), (Prompt::Auto, Some("ada")));
}

#[test]
fn without_client_or_address_nobody_is_told_but_the_user() {
    for changes in [[("client_id", "")], [("redirect_uri", "")]] {
        assert!(Asked::parse(&query(&changes)).is_err(), "{changes:?}");
    }
    let twice = format!("{}&redirect_uri=https://evil.example", query(&[]));
    assert_eq!(Asked::parse(&twice), Err("The app gave `redirect_uri` twice.".to_owned()));
    assert!(Asked::parse(&query(&[("state", &"x".repeat(9000))])).is_err());
}

#[test]
fn everything_else_is_told_to_the_app() {
    for (changes, code) in [
        (vec![("response_type", "")], "invalid_request"),
        (vec![("response_type", "token")], "unsupported_response_type"),
        (vec![("response_type", "code id_token")], "unsupported_response_type"),
        (vec![("response_mode", "fragment")], "invalid_request"),
        (vec![("code_challenge", "")], "invalid_request"),
        (vec![("code_challenge", "short")], "invalid_request"),
        (vec![("code_challenge_method", "")], "invalid_request"),
        (vec![("code_challenge_method", "plain")], "invalid_request"),
        (vec![("prompt", "none login")], "invalid_request"),
        (vec![("max_age", "-1")], "invalid_request"),
        (vec![("request", "eyJ")], "request_not_supported"),
        (vec![("request_uri", "https://x.example")], "request_uri_not_supported"),
    ] {
        let asked = Asked::parse(&query(&changes)).unwrap();
        assert_eq!(asked.rest.unwrap_err().code, code, "{changes:?}");
        assert_eq!(asked.redirect_uri, "https://app.example/cb");
    }
}

/// RFC 7636, appendix B.
#[test]
fn a_verifier_proves_its_own_challenge_only() {
    let verifier = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
    assert!(proves(verifier, CHALLENGE));
    assert!(!proves(&verifier.to_lowercase(), CHALLENGE));
    assert!(!proves(CHALLENGE, CHALLENGE));
    assert!(!proves("", CHALLENGE));
    let short = "a".repeat(42);
    assert!(!proves(&short, &URL_SAFE_NO_PAD.encode(sha256(short.as_bytes()))));
}

#[test]
fn addresses_that_others_could_hear_are_not_registered() {
    for yes in [
        "https://app.example/cb?x=1",
        "http://127.0.0.1:8400/cb",
        "http://[::1]/",
        "http://localhost:3000/cb",
        "com.example.app:/cb",
    ] {
        assert_eq!(may_be_redirect(yes), Ok(()), "{yes}");
    }
    for no in [
        "",
        "/cb",
        "app.example/cb",
        "http://app.example/cb",
        "http://127.0.0.1.evil.example/",
        "https://app.example/#x",
        "https://user@app.example/",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://app.example/\r\nx",
        "https://äpp.example/",
    ] {
        assert!(may_be_redirect(no).is_err(), "{no}");
    }
}

#[test]
fn places_are_named_without_paths() {
    assert_eq!(source_of("https://app.example:8443/cb?x").as_deref(), Some("https://app.example:8443"));
    assert_eq!(source_of("http://[::1]:80/cb").as_deref(), Some("http://[::1]"));
    assert_eq!(source_of("com.example.app:/cb").as_deref(), Some("com.example.app:"));
    assert_eq!(
        with_query("https://a.example/?b=1", &[("state", "&=é")]),
        "https://a.example/?b=1&state=%26%3D%C3%A9"
    );
}
