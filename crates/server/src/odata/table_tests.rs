//! What a filter becomes and why one is refused, word for word. In the tables an indented line is the
//! answer to the line above it.

use super::tests::{FILES, check};
use super::*;

fn encoded(filter: &str) -> String {
    let filter = filter.replace('%', "%25").replace('+', "%2B").replace('&', "%26");
    format!("$filter={filter}")
}

#[test]
fn accepted_filters_as_sql() {
    let table = r#"
fileName eq 'a.ps1'
    file_name = cast($1 as text) <- [Text("a.ps1")]
'a.ps1' eq fileName
    cast($1 as text) = file_name <- [Text("a.ps1")]
FILENAME NE 'it''s'
    file_name is distinct from cast($1 as text) <- [Text("it's")]
size gt 10 and size le -3
    (size > cast($1 as bigint) and size <= cast($2 as bigint)) <- [Int(10), Int(-3)]
creationTime ge 2026-01-01T00:00:00Z
    created_at >= cast($1 as bigint) <- [Time(Timestamp(1767225600000000))]
creationTime lt 2018-08-01Z
    created_at < cast($1 as bigint) <- [Time(Timestamp(1533081600000000))]
creationTime lt '2018-08-01'
    created_at < cast($1 as bigint) <- [Time(Timestamp(1533081600000000))]
creationTime lt 2026-01-01T00:00:00+02:00
    created_at < cast($1 as bigint) <- [Time(Timestamp(1767218400000000))]
creationTime lt 2026-01-01T00:00:00 02:00
    created_at < cast($1 as bigint) <- [Time(Timestamp(1767218400000000))]
hasParameters
    has_parameters is true
not hasParameters
    not (has_parameters is true)
hasParameters eq false
    has_parameters = cast($1 as boolean) <- [Bool(false)]
not (size lt 3 or description eq 'x')
    not (((size < cast($1 as bigint)) is true or description is not distinct from cast($2 as text))) <- [Int(3), Text("x")]
description eq null
    description is null
description ne null
    description is not null
not (null eq description)
    not (description is null)
description lt null
    false
description in ('a','b')
    description in (cast($1 as text), cast($2 as text)) <- [Text("a"), Text("b")]
description in ('a', null)
    (description in (cast($1 as text)) or description is null) <- [Text("a")]
not (description in ('a', null))
    not (((description in (cast($1 as text))) is true or description is null)) <- [Text("a")]
description in (null)
    description is null
size in(1,2)and(hasParameters)
    (size in (cast($1 as bigint), cast($2 as bigint)) and has_parameters is true) <- [Int(1), Int(2)]
creationTime in ('2026-01-01Z', 2026-01-02Z)
    created_at in (cast($1 as bigint), cast($2 as bigint)) <- [Time(Timestamp(1767225600000000)), Time(Timestamp(1767312000000000))]
startswith(fileName,'a%_')
    substr(file_name, 1, length(cast($1 as text))) = cast($1 as text) <- [Text("a%_")]
endswith(fileName, '.ps1')
    substr(file_name, length(file_name) - length(cast($1 as text)) + 1) = cast($1 as text) <- [Text(".ps1")]
contains(description,'x') eq true
    strpos(description, cast($1 as text)) > 0 <- [Text("x")]
contains(description,'x') eq false
    not ((strpos(description, cast($1 as text)) > 0) is true) <- [Text("x")]
not contains(description,'x')
    not ((strpos(description, cast($1 as text)) > 0) is true) <- [Text("x")]
false ne contains(description,'x')
    strpos(description, cast($1 as text)) > 0 <- [Text("x")]
contains(tolower(fileName),tolower('ABC'))
    strpos(lower(file_name), cast($1 as text)) > 0 <- [Text("abc")]
length(description) gt 3
    length(description) > cast($1 as bigint) <- [Int(3)]
indexof(description,'x') eq -1
    (strpos(description, cast($1 as text)) - 1) = cast($2 as bigint) <- [Text("x"), Int(-1)]
contains(fileName, description)
    strpos(file_name, description) > 0
fileName eq description
    file_name is not distinct from description
not not (fileName ne description)
    not (not (file_name is distinct from description))
1 eq 1
    true
true
    true
'a' in ('b', 'a')
    true
((fileName)) eq ('x')
    file_name = cast($1 as text) <- [Text("x")]
size eq -9223372036854775808
    size = cast($1 as bigint) <- [Int(-9223372036854775808)]
startswith(fileName,null)
    false
not hasParameters eq true
    not (has_parameters is not distinct from cast($1 as boolean)) <- [Bool(true)]
fileName lt tolower(description)
    file_name < lower(description)
"#;
    check(table, |filter| {
        let query = Query::parse(Some(&encoded(filter)), &FILES).map_err(|error| error.0);
        let mut params = Vec::new();
        let sql = query.map(|query| query.filter.map(|filter| filter.to_sql(&mut params)));
        let sql = sql.map_or_else(|error| error, Option::unwrap_or_default);
        if params.is_empty() { sql } else { format!("{sql} <- {params:?}") }
    });
}

#[test]
fn refused_filters() {
    let table = r#"
a eq 1 or
    `$filter`, position 1: unknown property `a`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime; text is written in single quotes
fileName
    `$filter`, position 1: `fileName` is text, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
size
    `$filter`, position 1: `size` is a whole number, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
null
    `$filter`, position 1: `null` is not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
'x'
    `$filter`, position 1: `'x'` is text, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
5
    `$filter`, position 1: `5` is a whole number, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
fileName eq
    `$filter`, position 12: expected a property, a value, a function or `(`, found the end
fileName = 'x'
    `$filter`, position 10: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found `=`
fileName eq "x"
    `$filter`, position 13: text is written in single quotes: `'…'`, not `"…"`
fileName eq x
    `$filter`, position 13: unknown property `x`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime; text is written in single quotes
fileName eq 'x
    `$filter`, position 13: the text that begins here has no end; close it with `'` (inside text, write `'` as `''` and `&` as `%26`)
fileName eq 'x' size eq 3
    `$filter`, position 17: expected `and`, `or` or the end, found `size`
fileName eq 'x' eq true
    `$filter`, position 17: expected `and`, `or` or the end, found `eq`
fileName eq 'x')
    `$filter`, position 16: expected `and`, `or` or the end, found `)`
(fileName eq 'x'
    `$filter`, position 17: expected `)`, `and` or `or`, found the end
size eq 'x'
    `$filter`, position 9: `size` is a whole number and `'x'` is not; write a whole number such as `10`
'x' eq size
    `$filter`, position 1: `size` is a whole number and `'x'` is not; write a whole number such as `10`
hasParameters gt 3
    `$filter`, position 18: `hasParameters` is a Boolean and `3` is not; write `true` or `false`
creationTime gt 'yesterday'
    `$filter`, position 17: `creationTime` is a time and `'yesterday'` is not; write a time such as `2026-01-31T08:00:00Z`
creationTime gt 5
    `$filter`, position 17: `creationTime` is a time and `5` is not; write a time such as `2026-01-31T08:00:00Z`
creationTime gt 2026-13-01Z
    `$filter`, position 17: `2026-13-01Z` is neither a whole number nor a time such as `2026-01-31T08:00:00Z`; text is written in single quotes
size eq fileName
    `$filter`, position 9: `size` is a whole number and `fileName` is text; compare values of one type
size eq 3.5
    `$filter`, position 9: `3.5` is neither a whole number nor a time such as `2026-01-31T08:00:00Z`; text is written in single quotes
size eq 9223372036854775808
    `$filter`, position 9: `9223372036854775808` is out of range; whole numbers go from -9223372036854775808 to 9223372036854775807
size eq -
    `$filter`, position 9: `-` is neither a whole number nor a time such as `2026-01-31T08:00:00Z`; text is written in single quotes
description in ()
    `$filter`, position 16: the list of `in` is empty; give at least one value
description in 'a'
    `$filter`, position 16: expected `(` and a list of values, found `'a'`
description in ('a',)
    `$filter`, position 21: expected a property, a value, a function or `(`, found `)`
description in ('a' 'b')
    `$filter`, position 21: expected `,` or `)`, found `'b'`
description in ('a', 3)
    `$filter`, position 22: `description` is text and `3` is not; write text in single quotes such as `'Pending'`
description in ('a', fileName)
    `$filter`, position 22: `fileName` is not a value; `in` takes a list of values
(size eq 3) in (true)
    `$filter`, position 1: `(size eq 3)` is a condition; `in` takes a property
contains(fileName)
    `$filter`, position 18: expected `,` (`contains` takes two arguments), found `)`
contains(fileName,'a','b')
    `$filter`, position 22: expected `)` (`contains` takes two arguments), found `,`
contains(size,'a')
    `$filter`, position 10: `contains` works on text, but `size` is a whole number
contains(size eq 3,'a')
    `$filter`, position 10: `contains` works on text, but `size` is a whole number
concat(fileName,'a')
    `$filter`, position 1: unknown function `concat`; supported are startswith, endswith, contains, tolower, toupper, length and indexof
machineTags/any(t: t eq 'x')
    `$filter`, position 1: unknown property `machineTags`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime
(size eq 3) gt true
    `$filter`, position 13: a condition can only be compared with `true` or `false`, by `eq` or `ne`
(size eq 3) eq hasParameters
    `$filter`, position 13: a condition can only be compared with `true` or `false`, by `eq` or `ne`
and
    `$filter`, position 1: expected a property, a value, a function or `(`, found `and`
eq 'x'
    `$filter`, position 1: expected a property, a value, a function or `(`, found `eq`
not
    `$filter`, position 4: expected a property, a value, a function or `(`, found the end
not fileName
    `$filter`, position 5: `fileName` is text, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
fileName && 'x'
    `$filter`, position 10: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found `&`
id eq 5b0b8d16-0000-4000-8000-000000000000
    `$filter`, position 1: unknown property `id`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime; text is written in single quotes
éé eq 'x'
    `$filter`, position 1: unknown property `éé`; `LibraryFiles` has fileName, description, size, hasParameters, creationTime; text is written in single quotes
(size
    `$filter`, position 6: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found the end
fileName = 'x' and size eq 3
    `$filter`, position 10: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found `=`
hasParameters = true
    `$filter`, position 15: expected an operator (`eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`), found `=`
size in
    `$filter`, position 8: expected `(` and a list of values, found the end
length(fileName,'x') eq 3
    `$filter`, position 16: expected `)` (`length` takes one argument), found `,`
length() eq 3
    `$filter`, position 8: expected a property, a value, a function or `(`, found `)`
creationTime eq hasParameters
    `$filter`, position 17: `creationTime` is a time and `hasParameters` is a Boolean; compare values of one type
''''
    `$filter`, position 1: `''''` is text, not a condition; compare it with `eq`, `ne`, `gt`, `ge`, `lt`, `le` or `in`
"#;
    check(table, |filter| match Query::parse(Some(&encoded(filter)), &FILES) {
        Ok(query) => format!("{query:?}"),
        Err(error) => error.to_string(),
    });
}
