//! `any` and `all`: what they become, why one is refused, and what they say of a row.

use super::tests::check;
use super::*;

static SET: EntitySet = EntitySet {
    name: "Files",
    properties: &[
        Property { name: "category", column: "v.category", kind: Kind::Text },
        Property { name: "size", column: "v.size", kind: Kind::Int },
        Property { name: "open", column: "v.open", kind: Kind::Bool },
        Property { name: "tags", column: "select 1 from tags l where l.version = v.born", kind: Kind::Texts },
        Property { name: "marks", column: "select 1 from marks l where l.of = v.born", kind: Kind::Texts },
    ],
    max_top: 10_000,
    searchable: false,
};

fn filter(text: &str) -> Result<Filter, ODataError> {
    parser::parse(text, &SET)
}

fn message(text: &str) -> String {
    filter(text).map_or_else(|error| error.0, |filter| format!("accepted {filter:?}"))
}

#[test]
fn accepted_as_sql() {
    let table = r#"
tags/any(t: t eq 'triage')
    exists (select 1 from tags l where l.version = v.born and l.value = cast($1 as text)) <- [Text("triage")]
TAGS/Any(t:t eq 'triage')
    exists (select 1 from tags l where l.version = v.born and l.value = cast($1 as text)) <- [Text("triage")]
tags/any ( tag : 'triage' eq tag )
    exists (select 1 from tags l where l.version = v.born and cast($1 as text) = l.value) <- [Text("triage")]
tags/any()
    exists (select 1 from tags l where l.version = v.born)
not tags/any( )
    not (exists (select 1 from tags l where l.version = v.born))
tags/any() eq false
    not (exists (select 1 from tags l where l.version = v.born))
tags/all(t: startswith(t,'x'))
    not (exists (select 1 from tags l where l.version = v.born and not ((substr(l.value, 1, length(cast($1 as text))) = cast($1 as text)) is true))) <- [Text("x")]
tags/any(t: t eq category)
    exists (select 1 from tags l where l.version = v.born and l.value is not distinct from v.category)
not tags/any(t: t eq 'a')
    not (exists (select 1 from tags l where l.version = v.born and l.value = cast($1 as text))) <- [Text("a")]
tags/any(t: not (t eq 'a'))
    exists (select 1 from tags l where l.version = v.born and not (l.value is not distinct from cast($1 as text))) <- [Text("a")]
tags/any(t: t eq 'a' or size gt 3) and open
    (exists (select 1 from tags l where l.version = v.born and (l.value = cast($1 as text) or v.size > cast($2 as bigint))) and v.open is true) <- [Text("a"), Int(3)]
tags/any(t: t in ('a','b')) or marks/any(t: t in ('c'))
    (exists (select 1 from tags l where l.version = v.born and l.value in (cast($1 as text), cast($2 as text))) or exists (select 1 from marks l where l.of = v.born and l.value in (cast($3 as text)))) <- [Text("a"), Text("b"), Text("c")]
tags/any(_É1: contains(tolower(_É1),'a'))
    exists (select 1 from tags l where l.version = v.born and strpos(lower(l.value), cast($1 as text)) > 0) <- [Text("a")]
tags/any(contains: contains(contains,'a'))
    exists (select 1 from tags l where l.version = v.born and strpos(l.value, cast($1 as text)) > 0) <- [Text("a")]
tags/any(t: t eq null)
    exists (select 1 from tags l where l.version = v.born and l.value is null)
tags/any(t: true)
    exists (select 1 from tags l where l.version = v.born and true)
"#;
    check(table, |text| {
        let mut params = Vec::new();
        let sql = filter(text).map_or_else(|error| error.0, |filter| filter.to_sql(&mut params));
        if params.is_empty() { sql } else { format!("{sql} <- {params:?}") }
    });
}

#[test]
fn refused() {
    let table = r#"
tags eq 'a'
    `$filter`, position 1: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
'a' eq tags
    `$filter`, position 8: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
tags
    `$filter`, position 1: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
tags in ('a')
    `$filter`, position 1: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
'a' in tags
    `$filter`, position 8: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
category in ('a', tags)
    `$filter`, position 19: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
contains(tags,'a')
    `$filter`, position 10: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
marks eq null
    `$filter`, position 1: `marks` is a list, not one value; `$filter` asks about its items: `marks/any(t: t eq '…')`
tags/any(t: t in tags)
    `$filter`, position 18: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`
tags/$count gt 1
    `$filter`, position 1: `tags/$count` is unknown; write `tags/any(t: t eq '…')`, `tags/all(t: t ne '…')` or `tags/any()`
tags/any
    `$filter`, position 1: `tags/any` is unknown; write `tags/any(t: t eq '…')`, `tags/all(t: t ne '…')` or `tags/any()`
tags/some(t: t eq 'a')
    `$filter`, position 1: `tags/some` is unknown; write `tags/any(t: t eq '…')`, `tags/all(t: t ne '…')` or `tags/any()`
nope/any(t: t eq 'a')
    `$filter`, position 1: unknown property `nope`; `Files` has category, size, open, tags, marks
category/any(t: t eq 'a')
    `$filter`, position 1: `category` is text, not a list: it has no `/`; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
tags/all()
    `$filter`, position 10: `all` needs a condition, as in `tags/all(t: t ne '…')`
tags/any(t)
    `$filter`, position 11: expected `:` after `t`, as in `tags/any(t: t eq '…')`, found `)`
tags/any(t eq 'a')
    `$filter`, position 12: expected `:` after `t`, as in `tags/any(t: t eq '…')`, found `eq`
tags/any('a')
    `$filter`, position 10: expected a variable and `:`, as in `tags/any(t: t eq '…')`, found `'a'`
tags/any(1t: 1t eq 'a')
    `$filter`, position 10: expected a variable and `:`, as in `tags/any(t: t eq '…')`, found `1t:`
tags/any(: t eq 'a')
    `$filter`, position 10: expected a variable and `:`, as in `tags/any(t: t eq '…')`, found `:`
tags/any(
    `$filter`, position 10: expected a variable and `:`, as in `tags/any(t: t eq '…')`, found the end
tags/any(t:
    `$filter`, position 12: expected a property, a value, a function or `(`, found the end
tags/any(t: )
    `$filter`, position 13: expected a property, a value, a function or `(`, found `)`
tags/any(t: t eq 'a'
    `$filter`, position 21: expected `)`, `and` or `or`, found the end
tags/any(t: t)
    `$filter`, position 13: `t` is text, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
tags/any(t: t
    `$filter`, position 14: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found the end
tags/any(t: t eq 5)
    `$filter`, position 18: `t` is text and `5` is not; write text in single quotes such as `'Pending'`
tags/any(t: T eq 'a')
    `$filter`, position 13: unknown property `T`; `Files` has category, size, open, tags, marks; the variable here is `t`; text is written in single quotes
tags/any(t: t eq 'a') and t eq 'b'
    `$filter`, position 27: unknown property `t`; `Files` has category, size, open, tags, marks; text is written in single quotes
tags/any(Size: Size eq 'a')
    `$filter`, position 10: `size` is a property; give the variable another name
tags/any(not: not eq 'a')
    `$filter`, position 10: `not` is a word of `$filter`; give the variable a name such as `t`
tags/any(Null: Null eq 'a')
    `$filter`, position 10: `Null` is a word of `$filter`; give the variable a name such as `t`
tags/any(t: marks/any(u: u eq t))
    `$filter`, position 13: `any` and `all` cannot stand inside each other; end the one of `t` first and join them with `and` or `or`
tags/any(t: marks/any())
    `$filter`, position 13: `any` and `all` cannot stand inside each other; end the one of `t` first and join them with `and` or `or`
length(tags/any(t: t eq 'a')) eq 1
    `$filter`, position 8: `length` works on text, but `tags/any(t: t eq 'a')` is a condition
"#;
    check(table, message);
}

#[test]
fn lists_are_selected_but_not_ordered_by() {
    let parse = |raw| Query::parse(Some(raw), &SET);
    let selected = parse("$select=TAGS,size").expect("a query").select.expect("a selection");
    assert_eq!(selected.iter().map(|property| property.name).collect::<Vec<_>>(), ["size", "tags"]);
    assert_eq!(
        parse("$orderby=size,tags desc").expect_err("no order").0,
        "`$orderby`: `tags` is a list, not one value; `$filter` asks about its items: `tags/any(t: t eq '…')`"
    );
}

/// Each condition with what it says of a row without items, of one, and of one whose list is null.
#[test]
fn an_empty_list_has_no_item_and_no_exception() {
    let row = |tags: Literal| {
        move |property: &Property| match property.name {
            "category" => Literal::Text("b".into()),
            "tags" => tags.clone(),
            _ => Literal::Null,
        }
    };
    let list = |items: &[&str]| Literal::Texts(items.iter().map(|item| (*item).into()).collect());
    let (none, two, null) = (row(list(&[])), row(list(&["a", "b"])), row(Literal::Null));
    for (text, on_none, on_two) in [
        ("tags/any()", false, true),
        ("tags/any(t: t eq 'a')", false, true),
        ("tags/any(t: t eq 'c')", false, false),
        ("tags/any(t: t ne 'a')", false, true),
        ("tags/all(t: t eq 'a')", true, false),
        ("tags/all(t: t in ('a','b'))", true, true),
        ("tags/all(t: size gt 3)", true, false),
        ("tags/all(t: not (size gt 3))", true, true),
        ("tags/any(t: t eq category)", false, true),
        ("tags/any(t: t gt category)", false, false),
        ("tags/any(t: true)", false, true),
        ("tags/all(t: false)", true, false),
        ("marks/any(t: t eq 'a')", false, false),
    ] {
        let filter = filter(text).expect(text);
        let answers = (filter.matches(&none), filter.matches(&two), filter.matches(&null));
        assert_eq!(answers, (on_none, on_two, on_none), "{text}");
    }
}

#[test]
fn bounds_are_exact() {
    let any = |count: usize| format!("tags/any(t: {})", vec!["t eq 'a'"; count].join(" or "));
    let some = |count: usize| format!("{} and {}", any(38), vec!["size eq 1"; count].join(" and "));
    let too_many = "more than 200 comparisons, functions and negations, where `any`, `all` and those inside count \
                    5 times; shorten the filter, for example with `in`";
    assert!(filter(&any(39)).is_ok() && filter(&some(5)).is_ok());
    assert_eq!(message(&any(40)), format!("`$filter`, position 483: {too_many}"));
    assert!(message(&some(6)).ends_with(too_many));
    assert!(filter(&vec!["tags/any()"; 40].join(" and ")).is_ok());
    assert!(message(&vec!["tags/any()"; 41].join(" and ")).ends_with(too_many));
    let list = |count: usize| format!("tags/any(t: t in ({}))", vec!["'a'"; count].join(","));
    assert!(filter(&list(1_000)).is_ok());
    assert!(message(&list(1_001)).ends_with("the list of `in` has more than 1000 values"));

    let deep = |depth: usize| format!("tags/any(t: {}open{})", "(".repeat(depth), ")".repeat(depth));
    assert!(filter(&deep(31)).is_ok());
    assert!(message(&deep(32)).ends_with("nested deeper than 32 levels; flatten the condition"));
}

/// As deep as it goes, on a stack far smaller than any that a request is served on.
#[test]
fn nesting_does_not_use_up_the_stack() {
    let parse_all = || {
        for piece in ["tags/any(t:", "tags/any(t:(", "tags/all(t: not ", "tags/any(", "tags/any(t: length("] {
            let text = piece.repeat(8_192 / piece.len());
            assert!(filter(&text).is_err(), "{piece}");
            assert!(filter(&format!("{}{text}", "(".repeat(31))).is_err(), "{piece}");
        }
        assert!(filter(&format!("{}tags/any(t: open{}", "(".repeat(31), ")".repeat(32))).is_ok());
    };
    let thread = std::thread::Builder::new().stack_size(512 * 1024).spawn(parse_all).expect("a thread");
    thread.join().expect("no overflow");
}
