//! Random filters and orders over random rows: SQLite and the in-memory twin must agree. PostgreSQL is asked where
//! there is one: in the integration tests.

use proptest::prelude::*;
use proptest::test_runner::Config;

use super::random::{Cells, ROWS, any_order, any_rows, condition, parse_filter, print, untyped, value_of};
use super::*;

const CREATE: &str = "create temporary table rows (id bigint primary key, name text, note text, \
                      size bigint, rank bigint, open boolean, made bigint, seen bigint)";
const INSERT: &str = "insert into rows values ($1, $2, $3, $4, $5, $6, $7, $8)";
const CREATE_LABELS: &str = "create temporary table labels (version bigint, kind text, value text)";
const INSERT_LABEL: &str = "insert into labels values ($1, $2, $3)";

fn select(filter: &Filter, order: &[Order], params: &mut Vec<Literal>) -> String {
    params.push(Literal::Int(7));
    let condition = filter.to_sql(params);
    let order = if order.is_empty() { String::new() } else { format!("{}, ", order_sql(order)) };
    format!("select id from rows where cast($1 as bigint) = 7 and {condition} order by {order}id")
}

fn expected(rows: &[Cells], filter: &Filter, order: &[Order]) -> Vec<i64> {
    let mut found: Vec<_> =
        rows.iter().zip(0i64..).filter(|(row, _)| filter.matches(&value_of(row))).collect();
    found.sort_by(|(a, _), (b, _)| compare(order, &value_of(a), &value_of(b)));
    found.into_iter().map(|(_, id)| id).collect()
}

fn sqlite_value(literal: &Literal) -> rusqlite::types::Value {
    match literal {
        Literal::Null => rusqlite::types::Value::Null,
        Literal::Text(text) => text.clone().into(),
        Literal::Bool(value) => (*value).into(),
        Literal::Int(value) => (*value).into(),
        Literal::Time(time) => time.micros().into(),
        Literal::Texts(_) => panic!("a filter has no lists"),
    }
}

fn sqlite() -> rusqlite::Connection {
    let database = rusqlite::Connection::open_in_memory().expect("a database in memory");
    let flags = rusqlite::functions::FunctionFlags::SQLITE_DETERMINISTIC;
    database
        .create_scalar_function("strpos", 2, flags, |call| {
            let (text, part): (Option<String>, Option<String>) = (call.get(0)?, call.get(1)?);
            let (Some(text), Some(part)) = (text, part) else {
                return Ok(None);
            };
            let place = text.find(&part).map_or(0, |at| text[..at].chars().count() + 1);
            Ok(i64::try_from(place).ok())
        })
        .expect("a function");
    database.execute(CREATE, []).expect("a table");
    database.execute(CREATE_LABELS, []).expect("a table");
    database
}

fn sqlite_answer(rows: &[Cells], filter: &Filter, order: &[Order]) -> rusqlite::Result<Vec<i64>> {
    let database = sqlite();
    for (row, id) in rows.iter().zip(0i64..) {
        let (cells, lists) = row.split_at(7);
        let cells = std::iter::once(id.into()).chain(cells.iter().map(sqlite_value));
        database.execute(INSERT, rusqlite::params_from_iter(cells))?;
        for (list, kind) in lists.iter().zip(["tag", "platform"]) {
            let Literal::Texts(values) = list else { panic!("{list:?} is no list") };
            for value in values {
                database.execute(INSERT_LABEL, (id, kind, value))?;
            }
        }
    }
    let mut params = Vec::new();
    let sql = select(filter, order, &mut params);
    let mut statement = database.prepare(&sql)?;
    let found =
        statement.query_map(rusqlite::params_from_iter(params.iter().map(sqlite_value)), |row| row.get(0))?;
    found.collect()
}

/// The filter; too large a one is no case.
fn small(text: &str) -> Result<Filter, TestCaseError> {
    parse_filter(text).map_err(|error| match error.0.contains("more than 200") {
        true => TestCaseError::reject("too large"),
        false => TestCaseError::fail(format!("{text}: {error}")),
    })
}

proptest! {
    #![proptest_config(Config::with_cases(1_000))]

    #[test]
    fn sqlite_agrees_with_memory(text in condition(), rows in any_rows(), order in any_order()) {
        let filter = small(&text)?;
        let answer = sqlite_answer(&rows, &filter, &order);
        prop_assert_eq!(answer, Ok(expected(&rows, &filter, &order)), "{}", text);
    }

    #[test]
    fn whatever_parses_runs(text in untyped(), rows in any_rows()) {
        if let Ok(filter) = parse_filter(&text) {
            let answer = sqlite_answer(&rows, &filter, &[]);
            prop_assert_eq!(answer, Ok(expected(&rows, &filter, &[])), "{}", text);
        }
    }

    #[test]
    fn printed_filter_parses_to_itself(text in condition()) {
        let filter = small(&text)?;
        let printed = print(&filter.0);
        prop_assert_eq!(parse_filter(&printed), Ok(filter), "{}", printed);
    }

    #[test]
    fn no_input_panics(raw in any::<String>(), untyped in untyped(), option in "(\\$|%24)?(filter|search|orderby|select|top|x)") {
        let _ = Query::parse(Some(&raw), &ROWS);
        for value in [&raw, &untyped, &format!("{untyped}{raw}"), &format!("name eq '{raw}")] {
            let _ = Query::parse(Some(&format!("{option}={value}")), &ROWS);
            let _ = parse_filter(value);
        }
    }
}

/// The largest filters that are allowed stay within what SQLite can parse.
#[test]
fn largest_filters_run() {
    let wide = vec!["size eq 1"; 200].join(" or ");
    let list = format!("size in ({})", vec!["1"; 1_000].join(","));
    let deep = format!("{}open{}", "open and not (".repeat(16), ")".repeat(16));
    let deep_or = format!("{}open{}", "open and (size eq 1 or ".repeat(32), ")".repeat(32));
    let row = |open| {
        let null = Literal::Null;
        let (tags, platforms) = (Literal::Texts(vec!["a".into(), "b".into()]), Literal::Texts(Vec::new()));
        vec![
            null.clone(),
            null.clone(),
            Literal::Int(1),
            null.clone(),
            open,
            null.clone(),
            null,
            tags,
            platforms,
        ]
    };
    let rows = [row(Literal::Bool(true)), row(Literal::Bool(false)), row(Literal::Null)];
    let inside = vec!["t eq 'b'"; 37].join(" or ");
    let items = format!("tags/any(t: {inside}) and platforms/all(t: open)");
    let lists = vec!["not (tags/all(t: t lt 'b'))"; 18].join(" and ");
    let deep_inside = format!("tags/any(t: {}t eq 'b'{})", "(open or ".repeat(31), ")".repeat(31));
    for text in [wide, list, deep, deep_or, items, lists, deep_inside] {
        let filter = parse_filter(&text).expect("a filter");
        assert_eq!(sqlite_answer(&rows, &filter, &[]), Ok(expected(&rows, &filter, &[])));
    }
}
