//! A server that says too much.

use std::io::Write as _;

use super::hostile::{Hostile, Reply, head, json};
use crate::program::Ran;

/// What the program may have of the memory; it ends itself when it wants more.
const KILOBYTES: u32 = 1 << 20;

async fn bounded(server: &Hostile, arguments: &[&str]) -> Ran {
    server.home().run_limited(&format!("ulimit -v {KILOBYTES}"), arguments).await
}

fn list(body: &str) -> Reply {
    json(200, body)
}

#[tokio::test]
async fn answers_without_an_end_are_given_up() {
    let chunked = || head(200, "transfer-encoding: chunked\r\n");
    let chunk = |text: &str| format!("{:x}\r\n{text}\r\n", text.len()).into_bytes();
    let blanks = chunk(&" ".repeat(1 << 16));
    let entries = chunk(&"1,".repeat(1 << 15));
    let begun = move |text: &str| [chunked(), chunk(text)].concat();
    let endless = Hostile::start({
        let blanks = blanks.clone();
        move |_| Reply::Endless(begun("{\"value\":["), blanks.clone())
    })
    .await;
    let ran = bounded(&endless, &["files", "list"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("more than"), "{}", ran.stderr);
    let millions = Hostile::start(move |_| Reply::Endless(begun("{\"value\":["), entries.clone())).await;
    let ran = bounded(&millions, &["machines", "list"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    let refused = Hostile::start({
        let blanks = blanks.clone();
        move |_| Reply::Endless([head(400, "transfer-encoding: chunked\r\n")].concat(), blanks.clone())
    })
    .await;
    let ran = bounded(&refused, &["files", "show", "x"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("400"), "{}", ran.stderr);
    let issuer =
        Hostile::bare(move |_| Reply::Endless(head(200, "transfer-encoding: chunked\r\n"), blanks.clone()))
            .await;
    let ran = bounded(&issuer, &["files", "show", "x"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
}

#[tokio::test]
async fn millions_of_nothing_are_no_list() {
    let body = format!("{{\"value\":[{}1]}}", "1,".repeat(30 << 20));
    let server = Hostile::start(move |_| list(&body)).await;
    let ran = bounded(&server, &["machines", "list"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("more than"), "{}", ran.stderr);
}

#[tokio::test]
async fn pages_without_an_end_are_given_up() {
    let same = Hostile::start(|call| {
        list(&format!(r#"{{"value":[],"@odata.nextLink":"{}/api/machines"}}"#, call.base))
    })
    .await;
    let ran = bounded(&same, &["machines", "list"]).await;
    assert_eq!(ran.code, 1, "{}", ran.stderr);
    assert!(ran.stderr.contains("pages"), "{}", ran.stderr);
}

#[tokio::test]
async fn deep_json_is_no_overflow() {
    let deep = format!("{{\"value\":[{}{}]}}", "[".repeat(1 << 20), "]".repeat(1 << 20));
    let server = Hostile::start(move |_| list(&deep)).await;
    for command in
        [&["files", "list"][..], &["machines", "list"], &["actions", "show", "x"], &["files", "show", "x"]]
    {
        let ran = bounded(&server, command).await;
        assert_eq!(ran.code, 1, "{command:?}: {}", ran.stderr);
    }
}

#[tokio::test]
async fn names_stay_on_their_line_and_one_long_text_does_not_widen_all() {
    let entry = |name: &str, description: &str| {
        format!(
            r#"{{"fileName":{name:?},"sha256":"x\u001b[2J","version":1,"id":"1","description":"{description}"}}"#
        )
    };
    let long = "x".repeat(1 << 16);
    let mut entries = vec![entry("a\nb", &long)];
    entries.extend((0..2000).map(|number| entry(&format!("f{number}"), "short")));
    let body = format!(r#"{{"value":[{}]}}"#, entries.join(","));
    let server = Hostile::start(move |_| list(&body)).await;
    let ran = bounded(&server, &["files", "list"]).await;
    assert_eq!((ran.code, ran.stdout.lines().count()), (0, 2002), "{}", ran.stderr);
    assert!(ran.stdout.len() < 1 << 20, "{} bytes", ran.stdout.len());
    let ran = bounded(&server, &["files", "delete", "a*"]).await;
    assert_eq!(ran.code, 2, "{}", ran.stderr);
    assert!(ran.stderr.contains("  a\\u{a}b\n"), "{}", ran.stderr);
}

#[tokio::test]
async fn a_small_result_does_not_grow_without_an_end() {
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    let piece = vec![b'x'; 1 << 20];
    packed.write_all(b"{\"script_output\":\"").expect("memory");
    (0..300).for_each(|_| packed.write_all(&piece).expect("memory"));
    packed.write_all(b"\"}").expect("memory");
    let packed = packed.finish().expect("memory");
    let server = Hostile::start(move |call| {
        if call.line.contains("DownloadLink") {
            return json(200, &format!(r#"{{"value":"{}/link"}}"#, call.base));
        }
        if call.line.ends_with("/link") {
            let length = format!("content-length: {}\r\n", packed.len());
            return Reply::Whole([head(200, &length), packed.clone()].concat());
        }
        if call.line.contains("/commands/") {
            return json(404, "{}");
        }
        json(200, r#"{"id":"x","status":"Succeeded","commands":[{"index":0,"command":{"type":"RunScript","params":[]}}]}"#)
    })
    .await;
    for arguments in [&["actions", "result", "x"][..], &["actions", "result", "x", "--json"]] {
        let ran = bounded(&server, arguments).await;
        assert_eq!((ran.code, ran.stdout.len()), (1, 0), "{}", ran.stderr);
        assert!(ran.stderr.contains("more than"), "{}", ran.stderr);
    }
}
