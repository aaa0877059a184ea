//! Input: the value of a `$filter` or a `$search`, percent-encoded or not; behind a `&`, further query options.
#![no_main]

use jumpbag_fuzz::odata::{EntitySet, Kind, Literal, Property, Query, Search, compare, order_sql};
use libfuzzer_sys::fuzz_target;

const fn property(name: &'static str, column: &'static str, kind: Kind) -> Property {
    Property { name, column, kind }
}

/// Nothing that a filter writes itself looks like it.
const TAGS: &str = "select 1 from labels l where l.version = v.born and l.kind = 'tag'";

static SET: EntitySet = EntitySet {
    name: "LibraryFiles",
    properties: &[
        property("fileName", "v.name", Kind::Text),
        property("description", "v.description", Kind::Text),
        property("creationTime", "f.created_at", Kind::Time),
        property("lastUpdatedTime", "v.created_at", Kind::Time),
        property("createdBy", "f.created_by", Kind::Text),
        property("hasParameters", "v.has_parameters", Kind::Bool),
        property("sha256", "v.sha256", Kind::Text),
        property("id", "f.id", Kind::Text),
        property("size", "v.size", Kind::Int),
        property("tags", TAGS, Kind::Texts),
        // Its name there would show in the SQL: it is in capitals.
        property("shown", "NOWHERE", Kind::Shown),
    ],
    max_top: 10_000,
    searchable: true,
};

fuzz_target!(|input: &str| {
    // As a client sends it, and with nothing in it that the query string would take for its own.
    let encoded: String = input.bytes().map(|byte| format!("%{byte:02X}")).collect();
    for raw in [format!("$filter={input}"), format!("$filter={encoded}")] {
        match Query::parse(Some(&raw), &SET) {
            Ok(query) => check(&query),
            Err(error) => assert_printable(&error.to_string()),
        }
    }
    match Query::parse(Some(&format!("$search={encoded}")), &SET) {
        Ok(query) => {
            let terms = query.search.as_ref().map(|search| terms(search, 0));
            assert!(!query.is_plain() && terms.is_some_and(|terms| (1..=20).contains(&terms)));
        }
        Err(error) => assert_printable(&error.to_string()),
    }
    check_negation(input, &encoded);
});

fn check_negation(input: &str, encoded: &str) {
    let negated = format!("$filter=not%20({encoded})");
    let (plain, negated) = (
        Query::parse(Some(&format!("$filter={encoded}")), &SET),
        Query::parse(Some(&negated), &SET),
    );
    if let (Ok(Some(plain)), Ok(Some(negated))) = (plain.map(|q| q.filter), negated.map(|q| q.filter)) {
        for row in [full, empty] {
            assert_ne!(
                plain.matches(&row),
                negated.matches(&row),
                "`{input}` and its negation agree"
            );
        }
    }
}

/// How many words and phrases there are, none of them empty.
fn terms(search: &Search, depth: usize) -> usize {
    // A chain and the parentheses around it, a level each.
    assert!(depth <= 22, "{search:?}");
    match search {
        Search::Term(text) | Search::Phrase(text) | Search::Prefix(text) => {
            assert!(!text.trim().is_empty() && !text.contains('\0'));
            1
        }
        Search::And(searches) | Search::Or(searches) => {
            assert!(searches.len() > 1);
            searches.iter().map(|search| terms(search, depth + 1)).sum()
        }
        Search::Not(search) => terms(search, depth + 1),
    }
}

fn check(query: &Query) {
    assert!(query.top.is_none_or(|top| top <= SET.max_top) && i64::try_from(query.skip).is_ok());
    assert!(
        query
            .skip_token
            .as_deref()
            .is_none_or(|token| !token.contains('\0'))
    );
    assert_plain(&order_sql(&query.order_by), 0);
    compare(&query.order_by, &full, &empty);
    let Some(filter) = &query.filter else { return };
    let mut params = vec![Literal::Int(7)];
    let sql = filter.to_sql(&mut params);
    assert_eq!(params[0], Literal::Int(7));
    assert!(params.iter().all(|param| *param != Literal::Null));
    assert!(
        !params
            .iter()
            .any(|param| matches!(param, Literal::Text(text) if text.contains('\0')))
    );
    assert_plain(&sql, params.len());
    filter.matches(&full);
    filter.matches(&empty);
}

/// SQL is made of our words and numbered parameters, whatever the client sent.
fn assert_plain(sql: &str, params: usize) {
    let sql = sql.replace(TAGS, "tags");
    let allowed =
        |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b" .,_$()<>=+-".contains(&byte);
    assert!(sql.bytes().all(allowed) && !sql.contains("--"), "{sql}");
    let mut depth = 0_i32;
    for byte in sql.bytes() {
        depth += i32::from(byte == b'(') - i32::from(byte == b')');
        assert!(depth >= 0, "{sql}");
    }
    assert_eq!(depth, 0, "{sql}");
    for named in sql.split('$').skip(1) {
        let digits = named.bytes().take_while(u8::is_ascii_digit).count();
        let number: usize = named[..digits].parse().expect("a numbered parameter");
        assert!((2..=params).contains(&number), "{sql}");
    }
}

fn full(property: &Property) -> Literal {
    match property.kind {
        Kind::Text => Literal::Text("A.ps1 ä\u{1F600}".into()),
        Kind::Bool => Literal::Bool(true),
        Kind::Int => Literal::Int(i64::MAX),
        Kind::Time => Literal::Time(jumpbag_wire::time::Timestamp::from_secs(1_700_000_000)),
        Kind::Texts => Literal::Texts(vec!["a".into(), "Ä.ps1".into()]),
        Kind::Shown => Literal::Null,
    }
}

fn empty(property: &Property) -> Literal {
    match property.kind {
        Kind::Bool => Literal::Bool(false),
        Kind::Int => Literal::Int(0),
        Kind::Texts => Literal::Texts(Vec::new()),
        _ => Literal::Null,
    }
}

/// An error shows what the client sent; it must not carry its control characters into an answer or a log.
fn assert_printable(message: &str) {
    assert!(
        !message.is_empty() && !message.chars().any(char::is_control),
        "{message:?}"
    );
    assert!(message.len() < 2_000, "{message}");
}
