//! Random texts and random searches: both databases find what a plain model finds.

use std::collections::BTreeMap;

use http::Method;
use jumpbag_server::library::text::words;
use proptest::prelude::*;
use proptest::strategy::ValueTree as _;
use proptest::test_runner::TestRunner;
use serde_json::json;

use super::found;
use crate::support::client::Client;
use crate::support::kept::on_either_database;

/// Texts of few words, so that searches find some; with what parts words and what only looks like it.
fn texts() -> impl Strategy<Value = String> {
    let word = proptest::sample::select(vec![
        "get",
        "Get",
        "GETS",
        "g",
        "ge",
        "process",
        "x1",
        "1x",
        "ä",
        "Ä",
        "a\u{308}",
        "ß",
        "ss",
        "σ",
        "ς",
        "İ",
        "i",
        "日本",
        "日",
        "it's",
        "a_b",
        "²",
        "ﬁ",
        "٣",
        "and",
        "OR",
        "\u{e33}",
        "क्षि",
        "🙂",
        "𝄞a",
        "e\u{301}",
        "ⅷ",
        "Ⅷ",
        "ª",
    ]);
    let part = proptest::sample::select(vec![
        " ", " ", " ", "-", "\n", "\t", ".", "\u{a0}", ",", "\u{2019}", "\u{200d}", "",
    ]);
    proptest::collection::vec((word, part), 0..7)
        .prop_map(|words| words.into_iter().flat_map(|(word, part)| [word, part]).collect())
}

#[derive(Debug, Clone)]
struct Said {
    content: String,
    description: String,
    tags: Vec<String>,
}

fn said() -> impl Strategy<Value = Said> {
    // In order and each once, as they are kept.
    let tags = proptest::sample::subsequence(vec!["get", "x1 get", "ä-b", "日"], 0..3);
    (texts(), texts(), tags).prop_map(|(content, description, tags)| Said {
        content,
        description,
        tags: tags.into_iter().map(str::to_owned).collect(),
    })
}

/// A search as it is written, and what it means.
#[derive(Debug, Clone)]
enum Wanted {
    Words(String, Vec<String>, bool),
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
    Not(Box<Wanted>),
}

fn searches() -> impl Strategy<Value = Wanted> {
    let term = (texts(), 0..3).prop_filter_map("a word is needed", |(text, kind)| {
        let bare: String =
            text.split(|c: char| c.is_whitespace() || c == '"').next().unwrap_or_default().into();
        let text = if kind == 0 { text } else { bare };
        let row: Vec<String> = words(&text).collect();
        let is_operator = ["AND", "OR", "NOT"].contains(&text.as_str());
        let written = match kind {
            0 => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
            1 => text,
            _ => format!("{text}*"),
        };
        let is_term = !row.is_empty() && (kind != 1 || !is_operator);
        is_term.then_some(Wanted::Words(written, row, kind == 2))
    });
    term.prop_recursive(3, 8, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Wanted::All),
            proptest::collection::vec(inner.clone(), 2..4).prop_map(Wanted::Any),
            inner.prop_map(|inner| Wanted::Not(Box::new(inner))),
        ]
    })
}

impl Wanted {
    fn written(&self) -> String {
        let joined = |parts: &[Wanted], word: &str| {
            let parts: Vec<_> = parts.iter().map(|part| format!("({})", part.written())).collect();
            parts.join(word)
        };
        match self {
            Wanted::Words(written, ..) => written.clone(),
            Wanted::All(parts) => joined(parts, " AND "),
            Wanted::Any(parts) => joined(parts, " OR "),
            Wanted::Not(part) => format!("NOT ({})", part.written()),
        }
    }

    fn holds(&self, document: &[String]) -> bool {
        match self {
            Wanted::All(parts) => parts.iter().all(|part| part.holds(document)),
            Wanted::Any(parts) => parts.iter().any(|part| part.holds(document)),
            Wanted::Not(part) => !part.holds(document),
            Wanted::Words(_, row, is_prefix) => document.windows(row.len()).any(|window| {
                let (last, before) = row.split_last().expect("a word");
                let (end, start) = window.split_last().expect("as many words");
                start == before && if *is_prefix { end.starts_with(last) } else { end == last }
            }),
        }
    }
}

/// The words of a file, as the documentation says them.
fn document(name: &str, said: &Said) -> Vec<String> {
    let text = format!("{name} {} {} {}", said.description, said.tags.join(" "), said.content);
    words(&text).collect()
}

async fn put(client: &Client, name: &str, said: &Said) {
    // An empty file is refused; a line feed has no words.
    let upload = client.upload(name, format!("{}\n", said.content)).description(&said.description);
    upload.override_if_exists().await.expect_status(200);
    let patch = json!({ "tags": said.tags });
    client.json(Method::PATCH, &format!("/api/libraryfiles/{name}"), &patch).await.expect_status(200);
}

#[tokio::test]
async fn random_searches_find_what_a_model_finds() {
    let mut runner = TestRunner::new(proptest::test_runner::Config::default());
    let mut pick =
        |strategy: &BoxedStrategy<Said>| strategy.new_tree(&mut runner).expect("a value").current();
    let files = said().boxed();
    let mut library: BTreeMap<String, Said> =
        (0..40).map(|n| (format!("f{n:02}.ps1"), pick(&files))).collect();
    let changed: Vec<(String, Said)> =
        (0..10).map(|n| (format!("f{:02}.ps1", n * 4), pick(&files))).collect();
    let searches = searches().boxed();
    let searches: Vec<Wanted> =
        (0..120).map(|_| searches.new_tree(&mut runner).expect("a value").current()).collect();
    let mut servers = Vec::new();
    for kept in on_either_database().await {
        let bag = kept.options.clone().start().await;
        servers.push((kept, bag.client().await, bag));
    }
    for (_, client, _) in &servers {
        futures_util::future::join_all(library.iter().map(|(name, said)| put(client, name, said))).await;
    }
    let mut some = 0;
    for (round, wanted) in searches.iter().enumerate() {
        // Now and then something changes in between.
        if let Some((name, said)) = changed.get(round / 12).filter(|_| round % 12 == 11) {
            for (_, client, _) in &servers {
                put(client, name, said).await;
            }
            library.insert(name.clone(), said.clone());
        }
        let expected: Vec<&String> = library
            .iter()
            .filter(|(name, said)| wanted.holds(&document(name, said)))
            .map(|(name, _)| name)
            .collect();
        some += usize::from(!expected.is_empty() && expected.len() < library.len());
        let written = wanted.written();
        if written.len() > 1000 {
            continue;
        }
        for (kept, client, _) in &servers {
            let names = found(client, &written).await;
            let differ = || {
                let differ =
                    library.iter().filter(|(name, _)| names.contains(name) != expected.contains(name));
                format!("on {}: {written:?} {wanted:?} differs in {:?}", kept.on, differ.collect::<Vec<_>>())
            };
            assert!(names.iter().eq(expected.iter().copied()), "{}", differ());
        }
    }
    assert!(some > 20, "only {some} searches told files apart");
}
