//! `PATCH`: every property absent, null and set; bodies that are none.

use http::Method;
use serde_json::{Value, json};

use super::{nothing, said, with};
use crate::bad_input::{Ground, assert_refused};
use crate::support::client::{Answer, Client};
use crate::support::kept::on_either_database;
use crate::support::server::Jumpbag;

const PATH: &str = "/api/libraryfiles/a.ps1";

async fn patch(client: &Client, body: impl Into<reqwest::Body>) -> Answer {
    client.call(Method::PATCH, PATH).with(|request| request.body(body)).await
}

/// Patches, and what each changes of what the one before left.
fn patches() -> Vec<(Value, Value)> {
    let same = |patch: Value| (patch.clone(), patch);
    vec![
        same(json!({ "description": "d" })),
        same(json!({ "parametersDescription": "-P" })),
        // Said once, it stays as it was until somebody says otherwise.
        same(json!({ "hasParameters": true })),
        same(json!({ "parametersDescription": null })),
        (json!({ "hasParameters": null }), json!({ "hasParameters": false })),
        (
            json!({ "parametersDescription": "-P", "hasParameters": null }),
            json!({ "parametersDescription": "-P", "hasParameters": true }),
        ),
        same(json!({ "hasParameters": false })),
        (json!({ "tags": ["b", " A ", "a", "Ä"] }), json!({ "tags": ["a", "b", "ä"] })),
        // A list is replaced whole.
        same(json!({ "tags": ["c"] })),
        (json!({ "tags": null }), json!({ "tags": [] })),
        (json!({ "TAGS": ["x"], "Category": " c " }), json!({ "tags": ["x"], "category": "c" })),
        same(json!({ "tags": [] })),
        (json!({ "platforms": ["Windows", "linux"] }), json!({ "platforms": ["linux", "windows"] })),
        (json!({ "platforms": null }), json!({ "platforms": [] })),
        (json!({ "category": "" }), json!({ "category": null })),
        same(json!({ "instructions": "one\r\ntwo\u{1f600}" })),
        (
            json!({ "instructions": "", "description": "" }),
            json!({ "instructions": null, "description": null }),
        ),
        same(json!({ "description": "d".repeat(4096), "instructions": "i".repeat(16 * 1024) })),
        (
            json!({ "description": null, "parametersDescription": null, "hasParameters": null, "tags": null,
                    "platforms": null, "category": null, "instructions": null }),
            nothing(),
        ),
    ]
}

#[tokio::test]
async fn a_patch_changes_what_it_names_and_nothing_else() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let first = client.upload("a.ps1", "one").await.expect_status(200).json();
        let mut state = said(&first);
        let mut number = 1;
        for (body, changes) in patches() {
            let before = state.clone();
            state = with(&state, changes);
            for round in 0..2 {
                let answer = patch(&client, body.to_string()).await.expect_status(200);
                // What is there already makes no version.
                number += u64::from(round == 0 && state != before);
                let file = answer.json();
                assert_eq!(said(&file), state, "{body} on {}", kept.on);
                assert_eq!(file["version"], number, "{body}, round {round}");
                for same in ["fileName", "sha256", "size", "id", "creationTime", "createdBy", "legalHold"] {
                    assert_eq!(file[same], first[same], "{body}: {same}");
                }
                let shown = client.get(PATH).await.expect_status(200);
                assert_eq!((shown.json(), shown.etag()), (file, answer.etag()));
            }
        }
        let versions = client.get(&format!("{PATH}/versions")).await.value();
        assert_eq!(versions.len() as u64, number);
        for version in &versions[..versions.len() - 1] {
            assert_eq!(version["cause"], "changed");
            assert!(version["changed"].as_array().is_some_and(|changed| !changed.is_empty()), "{version}");
            assert_eq!(version["sha256"], first["sha256"]);
        }
    }
}

#[tokio::test]
async fn what_changes_nothing_makes_no_version() {
    let bag = Jumpbag::start().await;
    let client = bag.client().await;
    let upload =
        client.upload("a.ps1", "one").description("d").field("Tags", "a,b").field("Platforms", "linux");
    let uploaded = upload.await.expect_status(200);
    for body in [
        "{}",
        " {\n} ",
        "\u{feff}{}",
        r#"{"description":"d"}"#,
        r#"{"tags":["B","a","b "]}"#,
        r#"{"platforms":["LINUX","linux"],"category":null,"instructions":""}"#,
        r#"{"hasParameters":null,"parametersDescription":null,"category":"  "}"#,
    ] {
        let answer = patch(&client, body).await.expect_status(200);
        assert_eq!((answer.json(), answer.etag()), (uploaded.json(), uploaded.etag()), "{body}");
    }
    // Whoever changes nothing has to be right about the file all the same.
    let call =
        client.call(Method::PATCH, PATH).with(|request| request.header("if-match", "\"x\"").body("{}"));
    assert_eq!(call.await.status, 412);
    let list = client.get("/api/libraryfiles").await;
    patch(&client, "{}").await.expect_status(200);
    assert_eq!(client.get("/api/libraryfiles").await.etag(), list.etag(), "the library did not change");
    // Whatever the content type says.
    for content_type in
        ["application/merge-patch+json", "text/plain", "application/x-www-form-urlencoded", "x"]
    {
        let call = client.call(Method::PATCH, PATH).with(|request| {
            request.header("content-type", content_type).body(format!("{{\"category\":\"{content_type}\"}}"))
        });
        assert_eq!(call.await.expect_status(200).json()["category"], content_type);
    }
}

/// Bodies that are no patch, and what they are told behind `Request body is incorrect: `.
fn bad_bodies() -> Vec<(Vec<u8>, String)> {
    let properties = "`description`, `parametersDescription`, `hasParameters`, `tags`, `platforms`, `category`, \
                      `instructions`";
    let unknown =
        |shown: &str| format!("`{shown}` is not a property that a patch can change; these are {properties}");
    let not_an_object = "the patch is not a JSON object with the properties to change";
    let empty = "the patch is empty; send a JSON object";
    let cases: Vec<(&[u8], String)> = vec![
        (b"", empty.into()),
        (b" \r\n\t", empty.into()),
        (b"\xEF\xBB\xBF", empty.into()),
        (b"[]", not_an_object.into()),
        (b"null", not_an_object.into()),
        (b"\"tags\"", not_an_object.into()),
        (b"7", not_an_object.into()),
        (b"[{\"tags\":[]}]", not_an_object.into()),
        (b"{", "the patch is not valid JSON: EOF while parsing an object at line 1 column 1".into()),
        (b"{} {}", "the patch is not valid JSON: trailing characters at line 1 column 4".into()),
        (b"{'tags':[]}", "the patch is not valid JSON: key must be a string at line 1 column 2".into()),
        (b"{\"tags\":[],}", "the patch is not valid JSON: trailing comma at line 1 column 12".into()),
        (b"tags=a", "the patch is not valid JSON: expected ident at line 1 column 2".into()),
        (b"{\"fileName\":\"b.ps1\"}", unknown("fileName")),
        (b"{\"sha256\":null}", unknown("sha256")),
        (b"{\"legalHold\":true}", unknown("legalHold")),
        (b"{\"version\":7}", unknown("version")),
        (b"{\"\":1}", unknown("")),
        (b"{\"tag\\u0073x\":1}", unknown("tagsx")),
        (
            br#"{"tags":[],"description":"x","Tags":["a"]}"#,
            "`tags` is there twice (letter case does not matter); send it once".into(),
        ),
        (
            br#"{"description":"x","description":"x"}"#,
            "`description` is there twice (letter case does not matter); send it once".into(),
        ),
    ];
    let mut cases: Vec<_> = cases.into_iter().map(|(body, message)| (body.to_vec(), message)).collect();
    let kinds = [
        ("is a string", "\"x\""),
        ("is a number", "1"),
        ("is a Boolean", "true"),
        ("is an object", "{}"),
        ("is an array", "[]"),
    ];
    for property in super::SAID {
        let (right, fits): (_, &[&str]) = match property {
            "hasParameters" => ("true, false", &["is a Boolean"]),
            "tags" | "platforms" => ("an array of strings", &["is an array"]),
            _ => ("a string", &["is a string"]),
        };
        for (is, value) in kinds.iter().filter(|(is, _)| !fits.contains(is)) {
            let body = format!("{{\"{}\":{value}}}", property.to_uppercase());
            cases.push((body.into_bytes(), format!("`{property}` must be {right} or null; it {is}")));
        }
    }
    for (holds, item) in [("null", "null"), ("a number", "1"), ("an array", "[\"a\"]"), ("an object", "{}")] {
        let body = format!("{{\"tags\":[\"a\",{item}]}}");
        cases.push((
            body.into_bytes(),
            format!("`tags` must be an array of strings or null; it holds {holds}"),
        ));
    }
    cases
}

/// Good JSON that says what no file may say.
fn broken_rules() -> Vec<(Value, &'static str)> {
    vec![
        (
            json!({ "description": "d".repeat(4097) }),
            "`description` has 4097 bytes of UTF-8; at most 4096 are allowed",
        ),
        (
            json!({ "parametersDescription": "é".repeat(2049) }),
            "`parametersDescription` has 4098 bytes of UTF-8; at most 4096 are allowed",
        ),
        (
            json!({ "instructions": "i".repeat(16 * 1024 + 1) }),
            "`instructions` has 16385 bytes of UTF-8; at most 16384 are allowed",
        ),
        (json!({ "description": "\0" }), "`description` holds the character U+0000; remove it"),
        (json!({ "instructions": "a\0" }), "`instructions` holds the character U+0000; remove it"),
        (
            json!({ "category": "a\tb" }),
            "`category` holds the control character U+0009; only visible characters are allowed",
        ),
        (json!({ "category": "c".repeat(65) }), "`category` has 65 characters; at most 64 are allowed"),
        (json!({ "tags": [""] }), "`tags` holds an empty tag; a tag has 1 to 64 characters"),
        (json!({ "tags": [" \t "] }), "`tags` holds an empty tag; a tag has 1 to 64 characters"),
        (json!({ "tags": ["t".repeat(65)] }), "`tags` holds a tag of 65 characters; a tag has 1 to 64"),
        (
            json!({ "tags": (0..33).map(|n| n.to_string()).collect::<Vec<_>>() }),
            "`tags` holds 33 tags; at most 32 are allowed",
        ),
        (
            json!({ "tags": ["a\u{2028}b"] }),
            "`tags` holds the control character U+2028; only visible characters are allowed",
        ),
        (
            json!({ "platforms": ["windows", "win"] }),
            "`platforms` holds `win`; the platforms are `windows`, `linux` and `macos`",
        ),
        // One bad property spoils the good ones beside it.
        (
            json!({ "description": "fine", "platforms": ["a\u{1b}[1m"] }),
            "`platforms` holds `a\\u{1b}[1m`; the platforms are `windows`, `linux` and `macos`",
        ),
    ]
}

#[tokio::test]
async fn bodies_that_are_no_patch() {
    let ground = Ground::start().await;
    let path = "/api/libraryfiles/kept.ps1";
    let send = async |body: Vec<u8>| {
        ground.client.call(Method::PATCH, path).with(|request| request.body(body)).await
    };
    for (body, message) in bad_bodies() {
        let case = String::from_utf8_lossy(&body).into_owned();
        let message = format!("Request body is incorrect: {message}");
        assert_refused(&case, &send(body).await, 400, "InvalidRequestBody", &message);
    }
    for (body, message) in broken_rules() {
        let case: String = body.to_string().chars().take(60).collect();
        assert_refused(&case, &send(body.to_string().into_bytes()).await, 400, "InvalidInput", message);
    }
    for (case, body, starts) in [
        (
            "UTF-8",
            b"{\"description\":\"\xFF\"}".to_vec(),
            "Request body is incorrect: the patch is not valid JSON: ",
        ),
        ("UTF-16", b"\xFF\xFE{\0}\0".to_vec(), "Request body is incorrect: the patch is not valid JSON: "),
        (
            "surrogate",
            br#"{"description":"\ud800"}"#.to_vec(),
            "Request body is incorrect: the patch is not valid JSON: ",
        ),
        (
            "deep",
            format!("{{\"tags\":{}{}}}", "[".repeat(30_000), "]".repeat(30_000)).into_bytes(),
            "Request body is incorrect: the patch is not valid JSON: recursion limit exceeded",
        ),
        ("deep and open", "[".repeat(60_000).into_bytes(), "Request body is incorrect: the patch is not"),
    ] {
        let answer = send(body).await.expect_status(400);
        assert_eq!(answer.error_code(), "InvalidRequestBody", "{case}");
        assert!(answer.error_message().starts_with(starts), "{case}: {}", answer.error_message());
    }
    let too_large = "Request body is incorrect: it is larger than the limit of 65536 bytes";
    let mut body = vec![b' '; 65_537];
    body[..2].copy_from_slice(b"{}");
    assert_refused("64 KiB and one", &send(body.clone()).await, 400, "InvalidRequestBody", too_large);
    assert_refused("8 MiB", &send(vec![b' '; 8 << 20]).await, 400, "InvalidRequestBody", too_large);
    let pieces = body.chunks(1000).map(|piece| Ok::<_, std::io::Error>(piece.to_vec())).collect::<Vec<_>>();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(pieces));
    let answer = ground.client.call(Method::PATCH, path).with(|request| request.body(chunked)).await;
    assert_refused("chunked", &answer, 400, "InvalidRequestBody", too_large);
    ground.unchanged("patches").await;
    body.pop();
    send(body).await.expect_status(200);
    ground.unchanged("a patch of exactly 64 KiB that says nothing").await;
}
