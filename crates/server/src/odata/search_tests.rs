//! `$search`: what it is read as, why one is refused, and that a tree printed is read as itself.

use proptest::prelude::*;

use super::tests::{FILES, check};
use super::*;

static SET: EntitySet = EntitySet { name: "Files", properties: &[], max_top: 10, searchable: true };

fn search(text: &str) -> Result<Search, ODataError> {
    super::search::parse(text, &SET)
}

fn message(text: &str) -> String {
    search(text).map_or_else(|error| error.0, |search| format!("{search:?}"))
}

#[test]
fn accepted() {
    let table = r#"
report
    Term("report")
 Get-Process 
    Term("Get-Process")
"a b"
    Phrase("a b")
"AND"
    Phrase("AND")
"a (b* \"c\" \\ C:\d"
    Phrase("a (b* \"c\" \\ C:\\d")
repo*
    Prefix("repo")
a b
    And([Term("a"), Term("b")])
a AND b AND c
    And([Term("a"), Term("b"), Term("c")])
a and b or not c
    And([Term("a"), Term("and"), Term("b"), Term("or"), Term("not"), Term("c")])
a OR b c OR d
    Or([Term("a"), And([Term("b"), Term("c")]), Term("d")])
(a OR b) c
    And([Or([Term("a"), Term("b")]), Term("c")])
(a b) c
    And([And([Term("a"), Term("b")]), Term("c")])
((a))
    Term("a")
NOT a
    Not(Term("a"))
NOT NOT a
    Not(Not(Term("a")))
a NOT b c
    And([Term("a"), Not(Term("b")), Term("c")])
a AND NOT (b OR c)
    And([Term("a"), Not(Or([Term("b"), Term("c")]))])
NOTE ANDY ORB
    And([Term("NOTE"), Term("ANDY"), Term("ORB")])
a"b"c(d)
    And([Term("a"), Phrase("b"), Term("c"), Term("d")])
C:\Windows\*
    Prefix("C:\\Windows\\")
über it's 'x' $y -z
    And([Term("über"), Term("it's"), Term("'x'"), Term("$y"), Term("-z")])
"#;
    check(table, message);
}

#[test]
fn refused() {
    let table = r#"
AND
    `$search`, position 1: expected a word, a phrase in double quotes, `NOT` or `(`, found `AND`, which as a word to look for is written `"AND"`
AND a
    `$search`, position 1: expected a word, a phrase in double quotes, `NOT` or `(`, found `AND`, which as a word to look for is written `"AND"`
é OR
    `$search`, position 5: expected a word, a phrase in double quotes, `NOT` or `(`, found the end
a OR OR b
    `$search`, position 6: expected a word, a phrase in double quotes, `NOT` or `(`, found `OR`, which as a word to look for is written `"OR"`
a AND OR b
    `$search`, position 7: expected a word, a phrase in double quotes, `NOT` or `(`, found `OR`, which as a word to look for is written `"OR"`
NOT
    `$search`, position 4: expected a word, a phrase in double quotes, `NOT` or `(`, found the end
a NOT AND b
    `$search`, position 7: expected a word, a phrase in double quotes, `NOT` or `(`, found `AND`, which as a word to look for is written `"AND"`
()
    `$search`, position 2: expected a word, a phrase in double quotes, `NOT` or `(`, found `)`
(a
    `$search`, position 3: expected `)`, a word, `AND`, `OR` or `NOT`, found the end
a)
    `$search`, position 2: expected a word, `AND`, `OR`, `NOT` or the end, found `)`
a "b c
    `$search`, position 3: the phrase that begins here has no end; close it with `"` (inside a phrase, write `"` as `\"`)
"a\"
    `$search`, position 1: the phrase that begins here has no end; close it with `"` (inside a phrase, write `"` as `\"`)
a ""
    `$search`, position 3: the phrase is empty; write words between the quotes
a "  "
    `$search`, position 3: the phrase is empty; write words between the quotes
a *
    `$search`, position 3: `*` only ends a word, as in `report*`; put text that has one in double quotes
*.ps1
    `$search`, position 1: `*` only ends a word, as in `report*`; put text that has one in double quotes
a**
    `$search`, position 2: `*` only ends a word, as in `report*`; put text that has one in double quotes
"a b"*
    `$search`, position 6: `*` only ends a word, as in `report*`; put text that has one in double quotes
"#;
    check(table, message);
    for empty in ["", " ", "\u{3000}\t"] {
        assert_eq!(message(empty), "`$search` is empty; write words to look for or leave the option out");
    }
}

#[test]
fn an_option_of_sets_that_can_be_searched() {
    let query = Query::parse(Some("%24Search=a+%22b%20c%22"), &SET).expect("a query");
    assert_eq!(query.search, Some(Search::And(vec![Search::Term("a".into()), Search::Phrase("b c".into())])));
    assert!(!query.is_plain());
    for (raw, set, expected) in [
        ("$search=a", &FILES, "`$search`: `LibraryFiles` cannot be searched; use `$filter`"),
        ("$search=a&$search=b", &SET, "`$search` is given twice; give it once"),
        ("$search=", &SET, "`$search` is empty; write words to look for or leave the option out"),
        ("$search=%ff", &SET, "`$search` is not UTF-8 once its percent-encoding is undone"),
        ("$search=a%00b", &SET, "`$search`, position 2: U+0000 is not allowed; leave it out"),
    ] {
        assert_eq!(Query::parse(Some(raw), set).expect_err(raw).0, expected, "{raw}");
    }
}

#[test]
fn bounds_are_exact() {
    assert!(search(&"a".repeat(1_000)).is_ok());
    assert_eq!(message(&"é".repeat(501)), "`$search` has 1002 bytes; at most 1000 are allowed");

    let words = |count: usize| vec!["a"; count].join(" ");
    assert!(search(&words(20)).is_ok());
    let too_many = "more than 20 words and phrases; shorten the search";
    assert_eq!(message(&words(21)), format!("`$search`, position 41: {too_many}"));
    assert!(message(&vec!["\"a\""; 21].join(" OR ")).ends_with(too_many));

    let deep = "nested deeper than 10 levels; flatten the search";
    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(search(&nested(10)).is_ok());
    assert_eq!(message(&nested(11)), format!("`$search`, position 12: {deep}"));
    assert!(search(&format!("{}a", "NOT ".repeat(10))).is_ok());
    assert!(message(&format!("{}a", "NOT ".repeat(11))).ends_with(deep));
    assert!(message(&"NOT(".repeat(250)).ends_with(deep));
}

fn any_search() -> impl Strategy<Value = Search> {
    let leaf = prop_oneof![
        3 => "[aé'-]{1,3}|and|[A-Z]{4}".prop_map(Search::Term),
        1 => "(AND|OR|NOT|[a\\\\\"*() ]{0,3})x".prop_map(Search::Phrase),
        1 => "[ab]{1,2}|AND".prop_map(Search::Prefix),
    ];
    leaf.prop_recursive(4, 12, 3, |inner| {
        let several = proptest::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            several.clone().prop_map(Search::And),
            several.prop_map(Search::Or),
            inner.prop_map(|inner| Search::Not(Box::new(inner))),
        ]
    })
}

fn print(search: &Search) -> String {
    let chain = |searches: &[Search], word: &str| {
        searches.iter().map(|search| format!("({})", print(search))).collect::<Vec<_>>().join(word)
    };
    match search {
        Search::Term(text) => text.clone(),
        Search::Phrase(text) => format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        Search::Prefix(text) => format!("{text}*"),
        Search::And(searches) => chain(searches, " "),
        Search::Or(searches) => chain(searches, " OR "),
        Search::Not(inner) => format!("NOT ({})", print(inner)),
    }
}

fn terms(search: &Search) -> usize {
    match search {
        Search::Term(text) | Search::Phrase(text) | Search::Prefix(text) => {
            assert!(!text.trim().is_empty());
            1
        }
        Search::And(searches) | Search::Or(searches) => {
            assert!(searches.len() > 1);
            searches.iter().map(terms).sum()
        }
        Search::Not(inner) => terms(inner),
    }
}

proptest! {
    #[test]
    fn printed_search_is_read_as_itself(tree in any_search()) {
        prop_assume!(terms(&tree) <= 20);
        let printed = print(&tree);
        prop_assert_eq!(search(&printed), Ok(tree), "{}", printed);
    }

    #[test]
    fn no_input_panics(raw in any::<String>(), pieces in "(a|é|AND|OR|NOT|\\(|\\)|\"|\\\\|\\*| ){0,30}") {
        for text in [raw, pieces] {
            if let Ok(found) = search(&text) {
                prop_assert!(terms(&found) <= 20);
            }
        }
    }
}
