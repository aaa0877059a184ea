//! Uploads that are sent again: under their `Idempotency-Key` they are made once, whatever breaks in between.

use futures_util::future::join_all;
use http::{HeaderValue, Method};
use serde_json::{Value, json};

use crate::bad_input::{assert_refused, files_in};
use crate::support::client::{Answer, Client};
use crate::support::form::Form;
use crate::support::kept::everywhere;
use crate::support::server::Jumpbag;

const USED: &str = "`Idempotency-Key` was used for another upload before: take a new key for each upload";
const NO_KEY: &str = "`Idempotency-Key` is not 1 to 255 visible ASCII characters: a GUID will do";

async fn send(client: &Client, key: impl AsRef<[u8]>, form: Form) -> Answer {
    let key = HeaderValue::from_bytes(key.as_ref()).expect("a header");
    let upload = client.post("/api/libraryfiles").with(|request| {
        request.header("content-type", Form::CONTENT_TYPE).header("idempotency-key", key).body(form.end())
    });
    upload.await
}

fn form(name: &str, content: &str) -> Form {
    Form::new().file(name, content)
}

async fn numbers(client: &Client, name: &str) -> Vec<Value> {
    let versions = client.get(&format!("/api/libraryfiles/{name}/versions")).await.expect_status(200).value();
    versions.into_iter().map(|version| version["version"].clone()).collect()
}

fn assert_same(case: &str, again: &Answer, first: &Answer) {
    assert_eq!((again.status, again.text()), (200, first.text()), "{case}");
    assert_eq!(again.etag(), first.etag(), "{case}");
}

#[tokio::test]
async fn the_same_upload_under_its_key_is_made_once() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let upload = || form("a.ps1", "one").field("Description", "d").field("Tags", "b,a");
        let first = send(&client, "key 1", upload()).await.expect_status(200);
        assert_same("at once", &send(&client, "key 1", upload()).await, &first);
        // What is meant counts, not how it is written.
        let otherwise = Form::new().field("TAGS", "a,b").field("description", "d").file("a.ps1", "one");
        assert_same("written otherwise", &send(&client, "key 1", otherwise).await, &first);
        assert_eq!(numbers(&client, "a.ps1").await, [1]);
        // Whatever became of the file meanwhile.
        client.upload("a.ps1", "two").override_if_exists().await.expect_status(200);
        assert_same("after an override", &send(&client, "key 1", upload()).await, &first);
        assert_eq!(numbers(&client, "a.ps1").await, [2, 1]);
        client.delete("/api/libraryfiles/a.ps1").await.expect_status(204);
        assert_same("after a delete", &send(&client, "key 1", upload()).await, &first);
        assert!(bag.names().await.is_empty());
        let purge = format!("/api/deletedlibraryfiles/{}/purge", first.json()["id"].as_str().expect("an id"));
        client.json(Method::POST, &purge, &json!({ "reason": "x" })).await.expect_status(204);
        assert_same("after a purge", &send(&client, "key 1", upload()).await, &first);
        bag.restart().await;
        let client = bag.client().await;
        assert_same("after a restart", &send(&client, "key 1", upload()).await, &unplaced(&first, &bag));
        assert!(bag.names().await.is_empty());
        let usage = client.get("/api/library/usage").await.json();
        assert_eq!((&usage["bytes"], &usage["versions"]), (&json!(0), &json!(0)), "on {}", kept.on);
    }
}

/// What the first one asked for held then; that it does not any more is its own doing.
#[tokio::test]
async fn conditions_and_quotas_are_asked_about_once() {
    let bag = Jumpbag::options().set("rate_limits", false).set("max_files", 1).start().await;
    let client = bag.client().await;
    let send = async |key: &str, condition: (&str, &str), form: Form| {
        let upload = client.post("/api/libraryfiles").with(|request| {
            let request = request.header("idempotency-key", key).header(condition.0, condition.1);
            request.header("content-type", Form::CONTENT_TYPE).body(form.end())
        });
        upload.await
    };
    let first = send("a", ("if-none-match", "*"), form("a.ps1", "one")).await.expect_status(200);
    assert_same("created", &send("a", ("if-none-match", "*"), form("a.ps1", "one")).await, &first);
    assert_eq!(send("b", ("if-none-match", "*"), form("a.ps1", "one")).await.status, 412);
    let (etag, replace) = (first.etag(), || form("a.ps1", "two").field("OverrideIfExists", "true"));
    let second = send("c", ("if-match", &etag), replace()).await.expect_status(200);
    assert_same("replaced", &send("c", ("if-match", &etag), replace()).await, &second);
    assert_eq!(send("d", ("if-match", &etag), replace()).await.status, 412);
    assert_eq!(numbers(&client, "a.ps1").await, [2, 1]);
}

/// The answer as it is at the address that the server has now.
fn unplaced(answer: &Answer, bag: &Jumpbag) -> Answer {
    Answer { body: answer.text().replace(&answer.base, &bag.url()).into(), ..answer.clone() }
}

#[tokio::test]
async fn another_upload_under_a_key_is_refused() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let first = send(&client, "k", form("a.ps1", "one").field("Category", "c")).await.expect_status(200);
        let others = [
            form("b.ps1", "one").field("Category", "c"),
            form("A.ps1", "one").field("Category", "c"),
            form("a.ps1", "two").field("Category", "c"),
            form("a.ps1", "one"),
            form("a.ps1", "one").field("Category", "C"),
            form("a.ps1", "one").field("Category", "c").field("Tags", ""),
            form("a.ps1", "one").field("Category", "c").field("OverrideIfExists", "true"),
        ];
        for (case, other) in others.into_iter().enumerate() {
            let case = format!("{case} on {}", kept.on);
            assert_refused(&case, &send(&client, "k", other).await, 400, "InvalidInput", USED);
        }
        assert_eq!(
            (bag.names().await, numbers(&client, "a.ps1").await),
            (vec!["a.ps1".into()], vec![json!(1)])
        );
        // A key is its caller's, and letter case counts in it.
        let registration = bag.register("somebody else", &["Library.Manage"]).await;
        let token = bag.request_token(&registration).await.json();
        let other = bag.anonymous().with_token(token["access_token"].as_str().expect("a token"));
        let override_it = || form("a.ps1", "three").field("OverrideIfExists", "true");
        assert_eq!(send(&other, "k", override_it()).await.expect_status(200).json()["version"], 2);
        assert_eq!(send(&client, "K", override_it()).await.expect_status(200).json()["version"], 3);
        assert_eq!(send(&other, "k", override_it()).await.expect_status(200).json()["version"], 2);
        assert_same(
            "the first",
            &send(&client, "k", form("a.ps1", "one").field("Category", "c")).await,
            &first,
        );
        assert_eq!(numbers(&client, "a.ps1").await, [3, 2, 1]);
        // An upload that was refused does not use up its key.
        let taken = send(&client, "later", form("a.ps1", "x")).await.expect_status(400);
        assert!(taken.error_message().contains("already exists"));
        send(&client, "later", form("c.ps1", "x")).await.expect_status(200);
    }
}

#[tokio::test]
async fn keys_that_are_none() {
    let bag = Jumpbag::options().set("rate_limits", false).set("small_file_bytes", 0).start().await;
    let client = bag.client().await;
    for bad in [&b""[..], &[b'k'; 256], "schlüssel".as_bytes(), b"\xff", b"a\tb", b" "] {
        let answer = send(&client, bad, form("a.ps1", "one")).await;
        assert_refused(&String::from_utf8_lossy(bad), &answer, 400, "InvalidInput", NO_KEY);
    }
    let twice = client.post("/api/libraryfiles").with(|request| {
        let request = request.header("idempotency-key", "a").header("idempotency-key", "b");
        request.header("content-type", Form::CONTENT_TYPE).body(form("a.ps1", "one").end())
    });
    let message = "`Idempotency-Key` is there twice: send one";
    assert_refused("twice", &twice.await, 400, "InvalidInput", message);
    assert!(bag.names().await.is_empty());
    assert_eq!(files_in(&bag.data_dir().join("blobs")), [""; 0]);
    for (number, good) in [&b"k"[..], &[b'~'; 255], b"\"quoted\"", b"5f0c, 7"].into_iter().enumerate() {
        send(&client, good, form(&format!("{number}.ps1"), "one")).await.expect_status(200);
    }
}

#[tokio::test]
async fn the_same_upload_many_times_at_once_is_made_once() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        for round in 0..2 {
            let (key, name) = (format!("key-{round}"), format!("{round}.ps1"));
            let upload = || form(&name, "one").field("OverrideIfExists", "true");
            let answers = join_all((0..8).map(|_| send(&client, &key, upload()))).await;
            for answer in &answers {
                assert_same(kept.on, answer, &answers[0]);
            }
            assert_eq!(numbers(&client, &name).await, [1], "on {}", kept.on);
        }
        // Different uploads under one key: one of them is made.
        let upload = |n: usize| form("z.ps1", "one").field("Description", n.to_string());
        let answers = join_all((0..8).map(|n| send(&client, "one key", upload(n)))).await;
        let (made, refused): (Vec<_>, Vec<_>) = answers.iter().partition(|answer| answer.status == 200);
        assert_eq!(made.len(), 1, "on {}", kept.on);
        for answer in refused {
            assert_refused(kept.on, answer, 400, "InvalidInput", USED);
        }
        if kept.on == "blobs" {
            // One content in all, which each upload offered anew: whatever else is there is garbage that is known.
            let (status, stdout, stderr) = bag.command(&["check"]).await;
            assert!(status.success(), "{stdout}{stderr}");
        }
    }
}

/// The server dies with SIGKILL when it has answered; some answers do not arrive. Sent again, each upload is there once.
#[tokio::test]
async fn uploads_outlive_a_kill_once() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let upload = async |client: &Client, n: usize| -> reqwest::Result<Answer> {
            let form =
                form(&format!("{n:02}.ps1"), &format!("content {n}")).field("OverrideIfExists", "true").end();
            let call = client.post("/api/libraryfiles").with(|request| {
                request
                    .header("content-type", Form::CONTENT_TYPE)
                    .header("idempotency-key", format!("k{n}"))
                    .body(form)
            });
            call.attempt().await
        };
        let first = upload(&client, 0).await.expect("an answer").expect_status(200);
        bag.kill().await;
        bag.restart().await;
        let client = bag.client().await;
        let again = upload(&client, 0).await.expect("an answer");
        assert_same("after a kill", &again, &unplaced(&first, &bag));
        // Killed while many are under way, after the first of them was answered.
        let uploads = (1..25).map(|n| Box::pin(upload(&client, n)));
        let (answered, _, rest) = futures_util::future::select_all(uploads).await;
        answered.expect("an answer").expect_status(200);
        let (rest, ()) = tokio::join!(join_all(rest), bag.kill());
        let lost = rest.iter().filter(|answer| answer.is_err()).count();
        eprintln!("{lost} of 24 answers were lost on {}", kept.on);
        bag.restart().await;
        let client = bag.client().await;
        for n in 1..25 {
            let answer = upload(&client, n).await.expect("an answer").expect_status(200);
            assert_eq!(answer.json()["version"], 1, "upload {n} on {}", kept.on);
            assert_eq!(numbers(&client, &format!("{n:02}.ps1")).await, [1]);
        }
    }
}

#[tokio::test]
async fn of_many_who_create_a_name_one_does() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        for round in 0..2 {
            let name = format!("{round}.ps1");
            let create = async |n: usize| {
                // Overriding is no way around the condition.
                let form = form(&name, &format!("by {n}"))
                    .field("OverrideIfExists", if n.is_multiple_of(2) { "true" } else { "false" });
                let call = client.post("/api/libraryfiles").with(|request| {
                    request
                        .header("content-type", Form::CONTENT_TYPE)
                        .header("if-none-match", "*")
                        .body(form.end())
                });
                call.await
            };
            let answers = join_all((0..16).map(create)).await;
            let made = answers.iter().filter(|answer| answer.status == 200).count();
            assert_eq!(made, 1, "on {}", kept.on);
            let message =
                format!("Library file {name} already exists, and `If-None-Match: *` asks that it does not");
            for answer in answers.iter().filter(|answer| answer.status != 200) {
                assert_refused(kept.on, answer, 412, "PreconditionFailed", &message);
            }
            assert_eq!(numbers(&client, &name).await, [1]);
        }
    }
}
