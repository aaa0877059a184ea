//! The extra fields of an upload.

use serde_json::{Value, json};

use super::{nothing, said, with};
use crate::bad_input::Ground;
use crate::support::client::{Answer, Client};
use crate::support::form::Form;
use crate::support::kept::on_either_database;

async fn upload(client: &Client, name: &str, fields: &[(&str, &str)]) -> Answer {
    let form = Form::new().file(name, "x");
    let form = fields.iter().fold(form, |form, (field, value)| form.field(field, value));
    let form = form.end();
    client
        .post("/api/libraryfiles")
        .with(|request| request.header("content-type", Form::CONTENT_TYPE).body(form))
        .await
}

/// Fields, and what they say.
fn readings() -> Vec<(Vec<(&'static str, &'static str)>, Value)> {
    let tags = |wanted: &[&str]| json!({ "tags": wanted });
    vec![
        (vec![], json!({})),
        (vec![("Tags", "b, a ,B,,a")], tags(&["a", "b"])),
        (vec![("TAGS", "a b,ÄÖ")], tags(&["a b", "äö"])),
        (vec![("tags", r#"["with, comma","b"]"#)], tags(&["b", "with, comma"])),
        (vec![("tAgS", " [ ] ")], tags(&[])),
        (vec![("Tags", ",")], tags(&[])),
        (vec![("Tags", "")], tags(&[])),
        (vec![("Tags", r#""a","b""#)], tags(&["\"a\"", "\"b\""])),
        (vec![("Tags", "first"), ("tags", "second")], tags(&["second"])),
        (vec![("Tags", "first"), ("Tags", "")], tags(&[])),
        (vec![("Platforms", "Windows,LINUX, macos")], json!({ "platforms": ["linux", "macos", "windows"] })),
        (vec![("platforms", r#"["macOS","macos"]"#)], json!({ "platforms": ["macos"] })),
        (vec![("PLATFORMS", "")], json!({ "platforms": [] })),
        (vec![("Category", "  Collect \t")], json!({ "category": "Collect" })),
        (vec![("category", " ")], json!({})),
        (vec![("CATEGORY", "a"), ("Category", "")], json!({})),
        (vec![("Instructions", "one\r\n\ttwo\n")], json!({ "instructions": "one\r\n\ttwo\n" })),
        (vec![("iNSTRUCTIONS", "")], json!({})),
        // What the originals' fields mean, beside the others.
        (
            vec![("ParametersDescription", "-P"), ("Category", "c"), ("Description", "d")],
            json!({ "parametersDescription": "-P", "hasParameters": true, "category": "c", "description": "d" }),
        ),
    ]
}

#[tokio::test]
async fn fields_are_read_as_they_are_meant() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        for (number, (fields, wanted)) in readings().into_iter().enumerate() {
            let name = format!("{number}.ps1");
            let uploaded = upload(&client, &name, &fields).await.expect_status(200).json();
            assert_eq!(said(&uploaded), with(&nothing(), wanted), "{fields:?} on {}", kept.on);
            let shown = client.get(&format!("/api/libraryfiles/{name}")).await.expect_status(200).json();
            assert_eq!(shown, uploaded);
        }
        let most: Vec<String> = (10..42).map(|n| format!("{n}{}", "é".repeat(62))).collect();
        let instructions = "i".repeat(16 * 1024);
        let fields =
            [("Tags", most.join(",")), ("Instructions", instructions.clone()), ("Category", "é".repeat(64))];
        let fields = fields.each_ref().map(|(name, value)| (*name, value.as_str()));
        let uploaded = upload(&client, "most.ps1", &fields).await.expect_status(200).json();
        let wanted = json!({ "tags": most, "instructions": instructions, "category": "é".repeat(64) });
        assert_eq!(said(&uploaded), with(&nothing(), wanted));
    }
}

#[tokio::test]
async fn an_override_keeps_what_it_does_not_say_and_clears_what_it_says_empty() {
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let all = [
            ("Description", "d"),
            ("ParametersDescription", "-P"),
            ("Tags", "a,b"),
            ("Platforms", "linux"),
            ("Category", "c"),
            ("Instructions", "i"),
        ];
        let first = said(&upload(&client, "a.ps1", &all).await.expect_status(200).json());
        let gone = json!({ "description": null, "parametersDescription": null, "hasParameters": false });
        for (fields, wanted) in [
            (&[][..], gone.clone()),
            (&[("Tags", "")], with(&gone, json!({ "tags": [] }))),
            (&[("Platforms", "[]")], with(&gone, json!({ "platforms": [] }))),
            (&[("Category", " ")], with(&gone, json!({ "category": null }))),
            (&[("Instructions", "")], with(&gone, json!({ "instructions": null }))),
            (
                &[("tags", "c"), ("Description", "e")],
                with(&gone, json!({ "tags": ["c"], "description": "e" })),
            ),
        ] {
            upload(&client, "a.ps1", &[&all[..], &[("OverrideIfExists", "true")]].concat())
                .await
                .expect_status(200);
            let fields = [fields, &[("OverrideIfExists", "true")]].concat();
            let replaced = upload(&client, "a.ps1", &fields).await.expect_status(200).json();
            assert_eq!(said(&replaced), with(&first, wanted), "{fields:?} on {}", kept.on);
        }
    }
}

#[tokio::test]
async fn fields_that_break_a_rule() {
    let ground = Ground::start().await;
    let long_tag = "t".repeat(65);
    let many = (0..33).map(|n| n.to_string()).collect::<Vec<_>>().join(",");
    let long_category = "é".repeat(65);
    for (field, value, message) in [
        ("Tags", long_tag.as_str(), "`tags` holds a tag of 65 characters; a tag has 1 to 64"),
        ("Tags", &many, "`tags` holds 33 tags; at most 32 are allowed"),
        ("Tags", "a\nb", "`tags` holds the control character U+000A; only visible characters are allowed"),
        (
            "Tags",
            "a\u{202e}b",
            "`tags` holds the control character U+202E; only visible characters are allowed",
        ),
        ("Tags", r#"["a",""]"#, "`tags` holds an empty tag; a tag has 1 to 64 characters"),
        (
            "Tags",
            r#"["\u0000"]"#,
            "`tags` holds the control character U+0000; only visible characters are allowed",
        ),
        (
            "Tags",
            "[a,b]",
            "`tags` begins with `[` but is not a JSON array of strings: expected value at line 1 column 2",
        ),
        (
            "tags",
            r#"["a",1]"#,
            "`tags` begins with `[` but is not a JSON array of strings: invalid type: integer `1`, expected a string at line 1 column 6",
        ),
        (
            "Platforms",
            "linux,solaris",
            "`platforms` holds `solaris`; the platforms are `windows`, `linux` and `macos`",
        ),
        ("Platforms", r#"[""]"#, "`platforms` holds ``; the platforms are `windows`, `linux` and `macos`"),
        ("Category", &long_category, "`category` has 65 characters; at most 64 are allowed"),
        (
            "Category",
            "a\nb",
            "`category` holds the control character U+000A; only visible characters are allowed",
        ),
    ] {
        // Behind the file, whose bytes are staged by then, and before it.
        let large = vec![b'n'; 300_000];
        let before = Form::new().field(field, value).file("new.ps1", &large);
        let behind = Form::new().file("new.ps1", &large).field(field, value);
        for form in [before, behind] {
            let answer = ground.post(Some(Form::CONTENT_TYPE), form.end()).await;
            let shown: String = value.chars().take(20).collect();
            ground.refuses(&format!("{field} {shown:?}"), answer, 400, "InvalidInput", message).await;
        }
    }
    for (field, limit) in
        [("Instructions", 16 * 1024), ("Tags", 16 * 1024), ("Platforms", 16 * 1024), ("Category", 4096)]
    {
        let form = Form::new().file("new.ps1", "x").field(field, "v".repeat(limit + 1)).end();
        let answer = ground.post(Some(Form::CONTENT_TYPE), form).await;
        let message =
            format!("Request body is incorrect: part 2 (`{field}`): the field has more than {limit} bytes");
        ground.refuses(field, answer, 400, "InvalidRequestBody", &message).await;
    }
    for field in ["Tags", "Platforms", "Category", "Instructions"] {
        for (value, message) in [
            (&b"a\0b"[..], "a text field contains the character U+0000".to_owned()),
            (b"\xff", format!("part 2 (`{field}`): the field is not UTF-8 text (byte 1)")),
        ] {
            let form = Form::new().file("new.ps1", "x").field(field, value).end();
            let answer = ground.post(Some(Form::CONTENT_TYPE), form).await;
            let message = format!("Request body is incorrect: {message}");
            ground.refuses(field, answer, 400, "InvalidRequestBody", &message).await;
        }
    }
}
