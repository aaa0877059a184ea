use super::*;

pub(super) static FILES: EntitySet = EntitySet {
    name: "LibraryFiles",
    properties: &[
        Property { name: "fileName", column: "file_name", kind: Kind::Text },
        Property { name: "description", column: "description", kind: Kind::Text },
        Property { name: "size", column: "size", kind: Kind::Int },
        Property { name: "hasParameters", column: "has_parameters", kind: Kind::Bool },
        Property { name: "creationTime", column: "created_at", kind: Kind::Time },
    ],
    max_top: 10_000,
    searchable: false,
};

/// Checks a table of questions, each with its answer indented on the next line.
pub(super) fn check(table: &str, answer: impl Fn(&str) -> String) {
    let lines: Vec<_> = table.trim_matches('\n').lines().collect();
    assert_eq!(lines.len() % 2, 0, "every question has an answer");
    for pair in lines.chunks(2) {
        assert_eq!(answer(pair[0]), pair[1].trim_start(), "{}", pair[0]);
    }
}

fn parse(raw: &str) -> Result<Query, ODataError> {
    Query::parse(Some(raw), &FILES)
}

fn filter(text: &str) -> Result<Filter, ODataError> {
    parser::parse(text, &FILES)
}

fn names(properties: &[&'static Property]) -> Vec<&'static str> {
    properties.iter().map(|property| property.name).collect()
}

#[test]
fn every_option_is_read() {
    let query = parse(
        "%24FILTER=size+eq%203&$OrderBy=fileName+desc,size&$Top=0&$skip=7&$COUNT=True\
         &$select=size,fileName,SIZE&$skiptoken=ab%20c&$format=application/json;odata.metadata=none&",
    )
    .expect("a query");
    assert_eq!(query.filter, Some(filter("size eq 3").expect("a filter")));
    assert_eq!(order_sql(&query.order_by), "file_name desc nulls last, size asc nulls first");
    assert_eq!((query.top, query.skip, query.count), (Some(0), 7, true));
    assert_eq!(query.select.as_deref().map(names), Some(vec!["fileName", "size"]));
    assert_eq!(query.skip_token.as_deref(), Some("ab c"));
    assert!(!query.is_plain());
}

#[test]
fn nothing_asked_is_plain() {
    assert!(Query::parse(None, &FILES).expect("a query").is_plain());
    for raw in [
        "",
        "&&",
        "foo=1&filter=x&foo=2&%ff=%ff",
        "$count=false&$skip=0",
        "$select=*",
        "$select=fileName,*",
        "$format=json",
    ] {
        assert!(parse(raw).expect(raw).is_plain(), "{raw}");
    }
    for raw in [
        "$top=10000",
        "$skip=1",
        "$count=true",
        "$select=size",
        "$orderby=size",
        "$filter=true",
        "$skiptoken=",
    ] {
        assert!(!parse(raw).expect(raw).is_plain(), "{raw}");
    }
}

#[test]
fn spaces_quotes_and_percent_signs_survive_the_query_string() {
    for (raw, text) in [
        ("$filter=fileName%20eq%20%27a%20b%27", "fileName eq 'a b'"),
        ("$filter=fileName+eq+'a+b'", "fileName eq 'a b'"),
        ("$filter=fileName eq 'a b'", "fileName eq 'a b'"),
        ("$filter=fileName eq 'a%2Bb%26c=d'", "fileName eq 'a+b&c=d'"),
        ("$filter=fileName eq '100%'", "fileName eq '100%'"),
        ("$filter=fileName eq '%C3%A9é'", "fileName eq 'éé'"),
        ("$filter=creationTime lt 2026-01-01T00:00:00+02:00", "creationTime lt 2025-12-31T22:00:00Z"),
        ("$filter=creationTime lt '2026-01-01T00:00:00+02:00'", "creationTime lt 2025-12-31T22:00:00Z"),
    ] {
        assert_eq!(parse(raw).expect(raw).filter, Some(filter(text).expect(text)), "{raw}");
    }
}

#[test]
fn refused_options() {
    let table = r#"
$format=xml
    `$format` must be `json` or `application/json`, not `xml`
$expand=x
    unknown query option `$expand`; supported are `$filter`, `$search`, `$orderby`, `$top`, `$skip`, `$count`, `$select`, `$skiptoken` and `$format`
$=1
    unknown query option `$`; supported are `$filter`, `$search`, `$orderby`, `$top`, `$skip`, `$count`, `$select`, `$skiptoken` and `$format`
$top=1&%24TOP=1
    `$top` is given twice; give it once
$top=10001
    `$top` must be a whole number from 0 to 10000, not `10001`
$top=-1
    `$top` must be a whole number from 0 to 10000, not `-1`
$top=
    `$top` must be a whole number from 0 to 10000, not ``
$top
    `$top` must be a whole number from 0 to 10000, not ``
$top=%2B5
    `$top` must be a whole number from 0 to 10000, not `+5`
$top=5.0
    `$top` must be a whole number from 0 to 10000, not `5.0`
$top=99999999999999999999999
    `$top` must be a whole number from 0 to 10000, not `99999999999999999999999`
$skip=-1
    `$skip` must be a whole number from 0 to 9223372036854775807, not `-1`
$skip=9223372036854775808
    `$skip` must be a whole number from 0 to 9223372036854775807, not `9223372036854775808`
$count=1
    `$count` must be `true` or `false`, not `1`
$select=
    `$select` has an empty name; write `property, property` or `*`
$select=size,,fileName
    `$select` has an empty name; write `property, property` or `*`
$select=foo
    `$select`: unknown property `foo`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime
$orderby=
    `$orderby` has an empty term; write `property asc, property desc`
$orderby=size,
    `$orderby` has an empty term; write `property asc, property desc`
$orderby=foo
    `$orderby`: unknown property `foo`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime
$orderby=size down
    `$orderby`: expected `asc` or `desc` after `size`, found `down`
$orderby=size asc fileName
    `$orderby`: expected a comma or the end after `size asc fileName`, found `fileName`
$orderby=size,size,size,size,size,size,size,size,size
    `$orderby` has 9 terms; at most 8 are allowed
$filter=
    `$filter` is empty; write a condition or leave the option out
$filter=+
    `$filter` is empty; write a condition or leave the option out
$filter=%ff
    `$filter` is not UTF-8 once its percent-encoding is undone
$filter=fileName eq 'a%00b'
    `$filter`, position 15: U+0000 is not allowed; leave it out
$skiptoken=%00
    `$skiptoken`, position 1: U+0000 is not allowed; leave it out
$fil%0Ater=3
    unknown query option `$fil�ter`; supported are `$filter`, `$search`, `$orderby`, `$top`, `$skip`, `$count`, `$select`, `$skiptoken` and `$format`
"#;
    check(table, |raw| match parse(raw) {
        Ok(query) => format!("{query:?}"),
        Err(error) => error.to_string(),
    });
}

/// Each filter with what it says of a row of nulls and of a full row.
#[test]
fn null_is_a_value_like_any_other_but_has_no_magnitude() {
    let nothing = |_: &Property| Literal::Null;
    let full = |property: &Property| match property.kind {
        Kind::Text => Literal::Text("aÉ%.ps1".into()),
        Kind::Int => Literal::Int(5),
        Kind::Bool => Literal::Bool(true),
        Kind::Time => Literal::Time(Timestamp::from_secs(1_000)),
        Kind::Texts => Literal::Texts(Vec::new()),
        Kind::Shown => Literal::Null,
    };
    for (text, on_nothing, on_full) in [
        ("fileName eq null", true, false),
        ("fileName ne null", false, true),
        ("null eq null", true, true),
        ("fileName eq 'a'", false, false),
        ("fileName ne 'a'", true, true),
        ("size lt 6", false, true),
        ("size ge 6", false, false),
        ("not (size lt 6)", true, false),
        ("not (size ge null)", true, true),
        ("hasParameters", false, true),
        ("not hasParameters", true, false),
        ("hasParameters eq false", false, false),
        ("hasParameters gt false", false, true),
        ("fileName in ('b', null)", true, false),
        ("not (fileName in ('b'))", true, true),
        ("size in (4, 5)", false, true),
        ("creationTime eq 1970-01-01T00:16:40Z", false, true),
        ("contains(fileName,'%')", false, true),
        ("not contains(fileName,'%')", true, false),
        ("contains(fileName,'')", false, true),
        ("startswith(fileName,'A')", false, false),
        ("endswith(fileName,'%.ps1')", false, true),
        ("endswith(fileName,'xaÉ%.ps1')", false, false),
        ("toupper(fileName) eq 'AÉ%.PS1'", false, true),
        ("tolower(fileName) eq 'aÉ%.ps1'", false, true),
        ("length(fileName) eq 7", false, true),
        ("indexof(fileName,'.') eq 3", false, true),
        ("indexof(fileName,'x') eq -1", false, true),
        ("indexof(fileName,'x') eq null", true, false),
        ("size eq 5 or size eq 6 and size eq 7", false, true),
        ("(size eq 5 or size eq 6) and size eq 7", false, false),
    ] {
        let filter = filter(text).expect(text);
        assert_eq!((filter.matches(&nothing), filter.matches(&full)), (on_nothing, on_full), "{text}");
    }
}

#[test]
fn order_puts_null_first_and_goes_by_code_point() {
    let order = order::parse("fileName, size desc", &FILES).expect("an order");
    let row = |name: Option<&str>, size: Option<i64>| {
        let name = name.map_or(Literal::Null, |name| Literal::Text(name.into()));
        let size = size.map_or(Literal::Null, Literal::Int);
        move |property: &Property| {
            if property.kind == Kind::Text { name.clone() } else { size.clone() }
        }
    };
    let rows = [
        row(None, Some(1)),
        row(None, None),
        row(Some("B"), Some(2)),
        row(Some("B"), Some(1)),
        row(Some("B"), None),
        row(Some("a"), None),
        row(Some("\u{ffff}"), None),
        row(Some("\u{10000}"), None),
    ];
    for pair in rows.windows(2) {
        assert_eq!(compare(&order, &pair[0], &pair[1]), Ordering::Less);
        assert_eq!(compare(&order, &pair[1], &pair[0]), Ordering::Greater);
        assert_eq!(compare(&order, &pair[0], &pair[0]), Ordering::Equal);
    }
    assert_eq!(compare(&[], &rows[0], &rows[1]), Ordering::Equal);
    assert_eq!(order_sql(&[]), "");
}

fn message(text: &str) -> String {
    filter(text).map_or_else(|error| error.0, |filter| format!("accepted {filter:?}"))
}

#[test]
fn bounds_are_exact() {
    let nested =
        |depth: usize, open: &str| format!("{}hasParameters{}", open.repeat(depth), ")".repeat(depth));
    let deep = "nested deeper than 32 levels; flatten the condition";
    for (open, position) in [("(", 34), ("not (", 85)] {
        let most = 32 / open.split(' ').count();
        assert!(filter(&nested(most, open)).is_ok(), "{open}");
        assert_eq!(message(&nested(most + 1, open)), format!("`$filter`, position {position}: {deep}"));
    }

    let conditions = |count: usize| vec!["size eq 1"; count].join(" or ");
    assert!(filter(&conditions(200)).is_ok());
    assert_eq!(
        message(&conditions(201)),
        "`$filter`, position 2606: more than 200 comparisons, functions and negations; shorten the filter, for \
         example with `in`"
    );
    assert!(message(&vec!["true"; 201].join(" or ")).contains("more than 200"));

    let list = |count: usize| format!("size in ({})", vec!["1"; count].join(","));
    assert!(filter(&list(1_000)).is_ok());
    assert_eq!(message(&list(1_001)), "`$filter`, position 2010: the list of `in` has more than 1000 values");

    let long = |bytes: usize| format!("fileName eq '{}'", "x".repeat(bytes - 14));
    assert!(filter(&long(8_192)).is_ok());
    assert_eq!(message(&long(8_193)), "`$filter` has 8193 bytes; at most 8192 are allowed");

    assert!(parse(&"x".repeat(16_384)).is_ok());
    let error = parse(&"x".repeat(16_385)).expect_err("too long");
    assert_eq!(error.0, "the query string has 16385 bytes; at most 16384 are allowed");
}

/// Eight KiB of the deepest nonsense on a stack far smaller than any that a request is served on.
#[test]
fn nesting_does_not_use_up_the_stack() {
    let parse_all = || {
        for piece in ["(", "not ", "not(", "tolower(", "contains(", "size in (", "length((", "'", "1 eq ("] {
            let text = piece.repeat(8_192 / piece.len());
            assert!(filter(&text).is_err(), "{piece}");
        }
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(parse_all).expect("a thread");
    thread.join().expect("no overflow");
}

#[test]
fn messages_show_little_and_no_control_characters() {
    let shown = message(&format!("size eq {}", "x".repeat(500)));
    assert!(shown.contains(&format!("`{}…`", "x".repeat(60))) && shown.len() < 300, "{shown}");
    let shown = parse("$x%1by=1").expect_err("unknown").0;
    assert!(shown.contains("`$x\u{fffd}y`"), "{shown}");
}
