//! The stream of events: everything that happens, in order, none missing and none twice, for those who may know.

mod bounds;
mod callers;
mod people;

use futures_util::future::join_all;
use http::Method;
use serde_json::{Value, json};

use crate::support::postgres::postgres_database;
use crate::support::server::{Jumpbag, Options};
use crate::support::stream::{Event, Stream};

fn options() -> Options {
    Jumpbag::options().set("rate_limits", false)
}

/// The number of the last change: where a stream that begins now begins.
async fn last(bag: &Jumpbag) -> i64 {
    let mut stream = Stream::open(bag, None).await;
    let opening = stream.block().await.expect("an opening");
    let id = opening.lines().find_map(|line| line.strip_prefix("id: ")).expect("an id");
    id.parse().expect("a number")
}

/// All events so far after one, by a stream that is left when it told the last.
async fn told(bag: &Jumpbag, after: i64, last: i64) -> Vec<Event> {
    let mut stream = Stream::open(bag, Some(after)).await;
    let mut events: Vec<Event> = Vec::new();
    while events.last().is_none_or(|event| event.id < last) {
        events.push(stream.next().await.expect("an open stream"));
    }
    events
}

fn ids(events: &[Event]) -> Vec<i64> {
    events.iter().map(|event| event.id).collect()
}

/// One change of every kind but the sweep's; how many those are.
async fn everything_happens(bag: &Jumpbag) -> usize {
    let client = bag.client().await;
    let json = |method: Method, path: &str, body: Value| {
        client.call(method, path).with(|request| request.body(body.to_string()))
    };
    bag.upload("a.ps1", "one").description("first\nof two lines").await.expect_status(200);
    bag.upload("A.ps1", "two").override_if_exists().await.expect_status(200);
    json(Method::PATCH, "/api/libraryfiles/a.ps1", json!({ "tags": ["triage"] })).await.expect_status(200);
    let hold = |hold: bool| json!({ "hold": hold, "reason": format!("case 7: {hold}") });
    json(Method::POST, "/api/libraryfiles/a.ps1/legalhold", hold(true)).await.expect_status(204);
    json(Method::POST, "/api/libraryfiles/a.ps1/legalhold", hold(false)).await.expect_status(204);
    client.post("/api/libraryfiles/a.ps1/versions/1/restore").await.expect_status(200);
    let id = client.get("/api/libraryfiles/a.ps1").await.json()["id"].as_str().expect("an id").to_owned();
    bag.delete("a.ps1").await.expect_status(204);
    client.post(&format!("/api/deletedlibraryfiles/{id}/restore")).await.expect_status(200);
    bag.delete("a.ps1").await.expect_status(204);
    let purge = format!("/api/deletedlibraryfiles/{id}/purge");
    json(Method::POST, &purge, json!({ "reason": "never again" })).await.expect_status(204);
    10
}

#[tokio::test]
async fn everything_that_happens_is_told_in_order() {
    let bag = options().start().await;
    let mut stream = Stream::open(&bag, None).await;
    let headers = stream.response.headers().clone();
    assert_eq!(headers["content-type"], "text/event-stream");
    assert_eq!(headers["cache-control"], "no-store");
    let opening = stream.block().await.expect("an opening");
    assert!(opening.starts_with("retry: 2000\nid: "), "{opening}");
    let count = everything_happens(&bag).await;
    let events = stream.take(count).await;
    let summary: Vec<String> = events
        .iter()
        .map(|event| {
            let data = &event.data;
            assert_eq!(data["actor"], "test Library.Manage");
            assert!(uuid::Uuid::parse_str(data["requestId"].as_str().expect("a text")).is_ok());
            assert!(data["time"].as_str().is_some_and(|time| time.ends_with('Z')));
            assert_eq!(data["id"], events[0].data["id"]);
            format!(
                "{} {} v{} {} file v{} {}",
                event.kind,
                data["fileName"].as_str().expect("a name"),
                data["version"],
                data["sha256"].as_str().map_or("-", |sha256| &sha256[..4]),
                data["file"]["version"],
                data["reason"]
            )
        })
        .collect();
    insta::assert_snapshot!(summary.join("\n"), @r#"
    uploaded a.ps1 v1 7692 file v1 null
    overridden A.ps1 v2 3fc4 file v2 null
    changed A.ps1 v3 3fc4 file v3 null
    held A.ps1 vnull - file vnull "case 7: true"
    released A.ps1 vnull - file vnull "case 7: false"
    restored a.ps1 v4 7692 file v4 null
    deleted a.ps1 v4 7692 file v4 null
    restored a.ps1 v5 7692 file v5 null
    deleted a.ps1 v5 7692 file v5 null
    purged a.ps1 v5 7692 file vnull "never again"
    "#);
    // Other changes have numbers and are no events.
    bag.register("another", &["Library.Read"]).await;
    bag.upload("b.ps1", "x").await.expect_status(200);
    let next = stream.next().await.expect("an open stream");
    assert_eq!((next.kind.as_str(), next.id), ("uploaded", events[count - 1].id + 2));
    let file = bag.client().await.get("/api/libraryfiles/b.ps1").await.json();
    for (property, value) in next.data["file"].as_object().expect("a file") {
        assert_eq!(&file[property], value);
    }
}

#[tokio::test]
async fn what_the_sweep_removes_is_told() {
    let bag = options().set("retention_days", 0).start().await;
    let begin = last(&bag).await;
    bag.upload("a.ps1", "one").await.expect_status(200);
    bag.delete("a.ps1").await.expect_status(204);
    bag.restart().await;
    let events = Stream::open(&bag, Some(begin)).await.take(3).await;
    let kinds: Vec<_> = events.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["uploaded", "deleted", "expired"]);
    assert_eq!(events[2].data["actor"], "operator");
    assert_eq!(
        (&events[2].data["version"], &events[2].data["sha256"]),
        (&json!(1), &events[1].data["sha256"])
    );
}

#[tokio::test]
async fn a_stream_goes_on_after_every_position() {
    let bag = options().start().await;
    let begin = last(&bag).await;
    let count = everything_happens(&bag).await;
    let all = Stream::open(&bag, Some(begin)).await.take(count).await;
    let token = bag.token(&["Library.Read"]).await;
    for seen in 0..count {
        let after = if seen == 0 { begin } else { all[seen - 1].id };
        assert_eq!(told(&bag, after, all[count - 1].id).await, all[seen..], "after {after}");
        for query in ["lastEventId", "after"] {
            let url = format!("{}/api/library/events?{query}={after}", bag.url());
            let response = crate::support::client::plain_http().get(url).bearer_auth(&token).send();
            let mut stream = Stream::of(response.await.expect("an answer"));
            assert_eq!(stream.take(count - seen).await, all[seen..], "{query} {after}");
        }
    }
    // From the very beginning, and after the last, which waits for the next.
    let mut all_of_it = Stream::open(&bag, Some(0)).await;
    assert_eq!(all_of_it.take(count).await, all);
    let mut waiting = Stream::open(&bag, Some(all[count - 1].id)).await;
    bag.upload("next.ps1", "x").await.expect_status(200);
    let next = waiting.next().await.expect("an open stream");
    assert_eq!(next.data["fileName"], "next.ps1");
    assert_eq!(all_of_it.next().await, Some(next));
}

#[tokio::test]
async fn a_rush_of_changes_is_told_whole_and_in_order_to_all() {
    let bag = options().start().await;
    let client = bag.client().await;
    let begin = last(&bag).await;
    let mut streams = join_all((0..5).map(|_| Stream::open(&bag, Some(begin)))).await;
    let upload = async |writer: usize| {
        for number in 0..30 {
            let name = format!("{}.ps1", (writer * 7 + number) % 20);
            let text = format!("{writer} {number}");
            client.upload(&name, text).override_if_exists().await.expect_status(200);
            if number % 3 == 0 {
                client.delete(&format!("/api/libraryfiles/{name}")).await;
            }
        }
    };
    let reading = join_all(streams.iter_mut().map(async |stream| {
        let mut events = Vec::new();
        loop {
            let event = stream.next().await.expect("an open stream");
            if event.data["fileName"] == "last.ps1" {
                return events;
            }
            events.push(event);
        }
    }));
    let writing = async {
        join_all((0..8).map(upload)).await;
        bag.upload("last.ps1", "x").await.expect_status(200);
    };
    let (read, ()) = tokio::join!(reading, writing);
    // Nothing but the library changed: the numbers have no gaps.
    let numbers = ids(&read[0]);
    assert!(numbers.len() > 240, "{}", numbers.len());
    assert_eq!(numbers, (numbers[0]..).take(numbers.len()).collect::<Vec<_>>());
    assert_eq!(numbers[0], begin + 1);
    for other in &read[1..] {
        assert_eq!(*other, read[0]);
    }
}

#[tokio::test]
async fn a_client_that_comes_again_after_a_crash_misses_nothing() {
    let bag = options().start().await;
    let begin = last(&bag).await;
    let (mut seen, mut acknowledged) = (Vec::new(), Vec::new());
    let mut after = begin;
    for life in 0..3 {
        let mut stream = Stream::open(&bag, Some(after)).await;
        for number in 0..6 {
            let name = format!("{life}-{number}.ps1");
            bag.upload(&name, "x").await.expect_status(200);
            acknowledged.push(name);
            // Each life tells a part, and dies in the middle.
            if number < 3 {
                seen.push(stream.next().await.expect("an open stream"));
            }
        }
        after = seen.last().expect("some").id;
        bag.kill().await;
        stream.rest().await;
        bag.restart().await;
    }
    let missing = acknowledged.len() - seen.len();
    seen.extend(Stream::open(&bag, Some(after)).await.take(missing).await);
    let names: Vec<_> = seen.iter().map(|event| event.data["fileName"].as_str().expect("a name")).collect();
    // What a life had not told is told by the next, before its own.
    assert_eq!(names, acknowledged);
    assert!(ids(&seen).is_sorted());
}

#[tokio::test]
async fn what_another_server_on_the_same_database_does_is_told_too() {
    let database = postgres_database().await;
    let server = || options().set("database_url", &database.url).start();
    let (one, two) = (server().await, server().await);
    let mut stream = Stream::open(&one, None).await;
    assert!(stream.block().await.is_some());
    for number in 0..20 {
        let server = if number % 2 == 0 { &one } else { &two };
        server.upload(&format!("{number}.ps1"), "x").await.expect_status(200);
    }
    let events = stream.take(20).await;
    let names: Vec<_> = events.iter().map(|event| event.data["fileName"].as_str().expect("a name")).collect();
    assert_eq!(names, (0..20).map(|number| format!("{number}.ps1")).collect::<Vec<_>>());
    // The other one tells the same, under the same numbers.
    assert_eq!(told(&two, events[0].id - 1, events[19].id).await, events);
}

#[tokio::test]
async fn streams_speak_http_2_and_are_not_compressed() {
    let bag = options().start().await;
    let token = bag.token(&["Library.Read"]).await;
    let plain = crate::support::client::plain_http();
    let multiplexed =
        reqwest::Client::builder().no_proxy().http2_prior_knowledge().build().expect("a client");
    for (http, version) in [(plain, http::Version::HTTP_11), (multiplexed, http::Version::HTTP_2)] {
        let request = http.get(format!("{}/API/v1.0/Library/Events/", bag.url())).bearer_auth(&token);
        let response = request.header("accept-encoding", "gzip").send().await.expect("an answer");
        assert_eq!(response.version(), version);
        assert!(response.headers().get("content-encoding").is_none());
        let mut stream = Stream::of(response);
        assert!(stream.block().await.is_some());
        let name = format!("{version:?}.ps1").replace('/', "-");
        bag.upload(&name, "x".repeat(1000)).await.expect_status(200);
        assert_eq!(stream.next().await.expect("an event").data["fileName"], name.as_str());
    }
    let head = bag.caller(&["Library.Read"]).await.call(Method::HEAD, "/api/library/events").await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
}
