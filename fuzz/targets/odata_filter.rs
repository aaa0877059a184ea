//! Input: the value of a `$filter`, percent-encoded or not; behind a `&`, further query options.
#![no_main]

use jumpbag_fuzz::odata::{EntitySet, Kind, Literal, Property, Query, compare, order_sql};
use libfuzzer_sys::fuzz_target;

const fn property(name: &'static str, column: &'static str, kind: Kind) -> Property {
    Property { name, column, kind }
}

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
    ],
    max_top: 10_000,
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
});

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
    }
}

fn empty(property: &Property) -> Literal {
    match property.kind {
        Kind::Bool => Literal::Bool(false),
        Kind::Int => Literal::Int(0),
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
