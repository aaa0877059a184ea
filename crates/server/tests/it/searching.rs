//! `$search` over HTTP: what the newest versions say is found at once, and nothing else is.

mod model;

use std::future::IntoFuture as _;

use http::Method;
use serde_json::json;

use crate::bad_input::assert_refused;
use crate::support::client::Client;
use crate::support::kept::everywhere;
use crate::support::server::Jumpbag;

/// The names that a search finds, in the order of the answer; `more` are further options.
async fn search(client: &Client, wanted: &str, more: &str) -> Vec<String> {
    let wanted: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
    let answer = client.get(&format!("/api/libraryfiles?$search={wanted}{more}")).await.expect_status(200);
    let files = answer.value();
    files.iter().map(|file| file["fileName"].as_str().expect("a name").to_owned()).collect()
}

async fn found(client: &Client, wanted: &str) -> Vec<String> {
    search(client, wanted, "").await
}

fn utf_16(text: &str, big: bool) -> Vec<u8> {
    let units = std::iter::once(0xFEFF).chain(text.encode_utf16());
    units.flat_map(|unit| if big { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
}

async fn filled(client: &Client) {
    let process: &[u8] = b"Get-Process | where CPU -gt 100\nstart of story";
    let service = "# Größe prüfen\r\nGet-Service wuauserv; story_of_start";
    for (name, content, fields) in [
        (
            "Process-Dump.ps1",
            process.to_vec(),
            &[("Description", "Collects memory"), ("Tags", "triage,memory")][..],
        ),
        (
            "service.ps1",
            utf_16(service, false),
            &[("Category", "Contain"), ("Instructions", "Nur nachts ausführen")],
        ),
        ("big-endian.ps1", utf_16("Remove-Item 日本語", true), &[]),
        ("old.cmd", b"rem pr\xFCfen \x96 na\xEFve caf\xE9".to_vec(), &[("Platforms", "windows")]),
        ("tool.exe", b"MZ\x90\0\x03 hidden secret words".to_vec(), &[("Description", "a TOOL of 2024")]),
        (
            "marked.sh",
            "\u{feff}#!/bin/sh\necho ΟΔΟΣ İstanbul".as_bytes().to_vec(),
            &[("ParametersDescription", "parametric")],
        ),
    ] {
        let upload = fields
            .iter()
            .fold(client.upload(name, content), |upload, (field, value)| upload.field(field, value));
        upload.await.expect_status(200);
    }
}

const PROCESS: &str = "Process-Dump.ps1";
const SERVICE: &str = "service.ps1";
const OLD: &str = "old.cmd";
const TOOL: &str = "tool.exe";
const MARKED: &str = "marked.sh";
const BIG: &str = "big-endian.ps1";

const SEARCHES: &[(&str, &[&str])] = &[
    ("process", &[PROCESS]),
    ("PROCESS", &[PROCESS]),
    ("proces", &[]),
    ("proces*", &[PROCESS]),
    ("Get-Process", &[PROCESS]),
    ("get.process", &[PROCESS]),
    ("Process-Get", &[]),
    ("Get-Serv*", &[SERVICE]),
    ("Get-*", &[PROCESS, SERVICE]),
    ("\"get process where\"", &[PROCESS]),
    ("\"get where\"", &[]),
    ("\"start of story\"", &[PROCESS]),
    ("start story", &[PROCESS, SERVICE]),
    ("\"story of start\"", &[SERVICE]),
    ("start AND story AND of", &[PROCESS, SERVICE]),
    ("cpu OR wuauserv", &[PROCESS, SERVICE]),
    ("cpu OR wuauserv naïve", &[PROCESS]),
    ("(cpu OR wuauserv) Contain", &[SERVICE]),
    ("start NOT cpu", &[SERVICE]),
    ("NOT ps1", &[MARKED, OLD, TOOL]),
    ("NOT (ps1 OR sh OR exe)", &[OLD]),
    ("NOT NOT triage", &[PROCESS]),
    ("and", &[]),
    ("ps1", &[BIG, PROCESS, SERVICE]),
    ("\"service ps1\"", &[SERVICE]),
    ("memory", &[PROCESS]),
    ("\"collects memory\"", &[PROCESS]),
    ("triage", &[PROCESS]),
    ("contain", &[SERVICE]),
    ("nachts", &[SERVICE]),
    ("ausführen", &[SERVICE]),
    ("ausfuhren", &[]),
    ("prüfen", &[OLD, SERVICE]),
    ("PRÜFEN", &[OLD, SERVICE]),
    ("café", &[OLD]),
    ("größe", &[SERVICE]),
    ("grösse", &[]),
    ("日本語", &[BIG]),
    ("日本*", &[BIG]),
    ("οδος", &[MARKED]),
    ("ΟΔΟΣ", &[MARKED]),
    ("tool", &[TOOL]),
    ("2024", &[TOOL]),
    // Not in the index: what is no text, and what is said elsewhere.
    ("hidden", &[]),
    ("parametric", &[]),
    ("windows", &[]),
];

#[tokio::test]
async fn what_is_found_and_what_is_not() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        filled(&client).await;
        for (wanted, names) in SEARCHES {
            assert_eq!(found(&client, wanted).await, *names, "on {}: {wanted}", kept.on);
        }
        for (wanted, more, names) in [
            ("ps1", "&$filter=size gt 60", &[SERVICE][..]),
            ("ps1", "&$filter=contains(fileName,'-')&$orderby=fileName desc", &[BIG, PROCESS]),
            ("ps1", "&$orderby=size desc", &[SERVICE, PROCESS, BIG]),
            ("ps1", "&$filter=tags/any(t: t eq 'triage') or category eq 'Contain'", &[PROCESS, SERVICE]),
            ("ps1", "&$top=1", &[BIG]),
            ("ps1", "&$top=1&$skip=1", &[PROCESS]),
            ("ps1", "&$skip=2", &[SERVICE]),
            ("ps1", "&$skip=3", &[]),
            ("ps1", "&$filter=hasParameters", &[]),
        ] {
            assert_eq!(search(&client, wanted, more).await, names, "on {}: {wanted}{more}", kept.on);
        }
        let counted =
            client.get("/api/libraryfiles?$search=ps1&$count=true&$top=1&$select=size").await.json();
        assert_eq!(
            (&counted["@odata.count"], counted["value"][0].as_object().map(serde_json::Map::len)),
            (&json!(3), Some(1))
        );
    }
}

#[tokio::test]
async fn only_what_is_there_now_is_found() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let path = "/api/libraryfiles/a.ps1";
        let first = client.upload("a.ps1", "alpha").description("one").await.expect_status(200).json();
        assert_eq!(found(&client, "alpha one").await, ["a.ps1"]);
        client.upload("A.ps1", "beta").description("two").override_if_exists().await.expect_status(200);
        assert_eq!(found(&client, "beta two").await, ["A.ps1"]);
        assert_eq!(found(&client, "alpha OR one").await, [""; 0], "on {}", kept.on);
        let patch = json!({ "description": null, "tags": ["gamma"], "category": "Delta" });
        client.json(Method::PATCH, path, &patch).await.expect_status(200);
        assert_eq!(found(&client, "beta gamma delta NOT two").await, ["A.ps1"]);
        client.post(&format!("{path}/versions/1/restore")).await.expect_status(200);
        assert_eq!(found(&client, "alpha one NOT gamma").await, ["a.ps1"]);
        client.delete(path).await.expect_status(204);
        assert_eq!(found(&client, "alpha OR ps1 OR NOT ps1").await, [""; 0]);
        let back = format!("/api/deletedlibraryfiles/{}/restore", first["id"].as_str().expect("an id"));
        client.post(&back).await.expect_status(200);
        assert_eq!(found(&client, "alpha").await, ["a.ps1"]);
        client.delete(path).await.expect_status(204);
        let purge = back.replace("restore", "purge");
        client.json(Method::POST, &purge, &json!({ "reason": "x" })).await.expect_status(204);
        assert_eq!(found(&client, "alpha OR NOT alpha").await, [""; 0]);
        client.upload("a.ps1", "alpha again").await.expect_status(200);
        bag.restart().await;
        assert_eq!(found(&bag.client().await, "\"alpha again\"").await, ["a.ps1"], "on {}", kept.on);
    }
}

#[tokio::test]
async fn a_search_sees_what_was_uploaded_before_it() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let all: Vec<String> =
            (0..6).flat_map(|who| (0..8).map(move |n| format!("w{who}-{n}.ps1"))).collect();
        let work = async |who: usize| {
            for n in 0..8 {
                let (name, word) = (format!("w{who}-{n}.ps1"), format!("word{who}x{n}"));
                client.upload(&name, format!("common {word}")).await.expect_status(200);
                assert_eq!(found(&client, &word).await, [name], "right after its upload, on {}", kept.on);
                // Others upload at the same time: all that this one has uploaded is among what there is.
                let own = found(&client, &format!("common AND w{who}")).await;
                assert_eq!(own.len(), n + 1, "on {}: {own:?}", kept.on);
            }
        };
        futures_util::future::join_all((0..6).map(work)).await;
        let mut sorted = all;
        sorted.sort();
        assert_eq!(found(&client, "common&").await, sorted);
    }
}

#[tokio::test]
async fn searches_that_mean_nothing() {
    let bag = Jumpbag::options().set("rate_limits", false).start().await;
    let client = bag.client().await;
    filled(&client).await;
    let deep = |levels: usize| format!("{}a{}", "(".repeat(levels), ")".repeat(levels));
    let nots = format!("{}a", "NOT ".repeat(11));
    let many = vec!["a"; 21].join(" ");
    let long = "a".repeat(1001);
    for (wanted, message) in [
        ("", "`$search` is empty; write words to look for or leave the option out"),
        (" \t", "`$search` is empty; write words to look for or leave the option out"),
        (&long, "`$search` has 1001 bytes; at most 1000 are allowed"),
        (&many, "`$search`, position 41: more than 20 words and phrases; shorten the search"),
        (&deep(11), "`$search`, position 12: nested deeper than 10 levels; flatten the search"),
        (&nots, "`$search`, position 45: nested deeper than 10 levels; flatten the search"),
        ("---", "`$search`: `---` has no letters or digits to look for"),
        ("a OR \"-.-\"", "`$search`: `-.-` has no letters or digits to look for"),
        ("-*", "`$search`: `-` has no letters or digits to look for"),
        ("\"\"", "`$search`, position 1: the phrase is empty; write words between the quotes"),
        (
            "a \"open",
            "`$search`, position 3: the phrase that begins here has no end; close it with `\"` (inside a phrase, \
             write `\"` as `\\\"`)",
        ),
        (
            "*",
            "`$search`, position 1: `*` only ends a word, as in `report*`; put text that has one in double quotes",
        ),
        (
            "a*b",
            "`$search`, position 2: `*` only ends a word, as in `report*`; put text that has one in double quotes",
        ),
        (
            "AND",
            "`$search`, position 1: expected a word, a phrase in double quotes, `NOT` or `(`, found `AND`, which as a \
             word to look for is written `\"AND\"`",
        ),
        (
            "a OR",
            "`$search`, position 5: expected a word, a phrase in double quotes, `NOT` or `(`, found the end",
        ),
        ("(a", "`$search`, position 3: expected `)`, a word, `AND`, `OR` or `NOT`, found the end"),
        ("a)", "`$search`, position 2: expected a word, `AND`, `OR`, `NOT` or the end, found `)`"),
        ("a\0b", "`$search`, position 2: U+0000 is not allowed; leave it out"),
    ] {
        let encoded: String = url::form_urlencoded::byte_serialize(wanted.as_bytes()).collect();
        let answer = client.get(&format!("/api/libraryfiles?$search={encoded}")).await;
        assert_refused(wanted, &answer, 400, "ODataError", message);
    }
    let twice = client.get("/api/libraryfiles?$search=a&%24Search=b").await;
    assert_refused("twice", &twice, 400, "ODataError", "`$search` is given twice; give it once");
    // At the bounds, and in words of the databases' own languages, which mean nothing here.
    for fine in [
        &"a".repeat(1000),
        &vec!["a"; 20].join(" "),
        &deep(10),
        "a:*",
        "a& b| !c",
        "rowid:a",
        "words:a NEAR(a b)",
        "\"a\"\"b\"",
        "^a",
        "a+ +b",
        "it's 'quoted' $1 %s;",
        "a\\'b",
        "'a or 1=1--",
    ] {
        search(&client, fine, "").await;
    }
}

/// Long texts are found by what they begin with, and neither they nor what is no whole character upset anybody.
#[tokio::test]
async fn large_texts_are_found_by_their_beginnings() {
    for kept in everywhere().await {
        let bag = kept.options.clone().start().await;
        let client = bag.client().await;
        let words: String = (0..15_990).map(|n| format!("w{n} ")).collect();
        let many = format!("{words}{}", (0..100).map(|n| format!("v{n} ")).collect::<String>());
        let blob = format!("start {} end", "A".repeat(2 << 20));
        let cut = format!("begin{}", "é".repeat(600_000));
        let (one, two, three) = tokio::join!(
            client.upload("many.txt", many).into_future(),
            client.upload("blob.txt", blob).into_future(),
            client.upload("cut.txt", cut).into_future(),
        );
        for answer in [one, two, three] {
            answer.expect_status(200);
        }
        for (wanted, names) in [
            ("w15989", &["many.txt"][..]),
            // The name's two words count with those of the text.
            ("v7", &["many.txt"]),
            ("v8", &[]),
            ("start", &["blob.txt"]),
            ("end", &[]),
            ("begin*", &["cut.txt"]),
            ("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", &["blob.txt"]),
            (
                "\"start aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\"",
                &["blob.txt"],
            ),
        ] {
            assert_eq!(found(&client, wanted).await, names, "on {}: {wanted}", kept.on);
        }
    }
}
