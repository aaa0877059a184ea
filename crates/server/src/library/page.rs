//! Lists of the library. Pages of one list show the library as it was when the first page was asked for, so that
//! none is skipped or repeated whatever changes meanwhile.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jumpbag_wire::library::LibraryFile;

use super::Library;
use super::search::wanted;
use crate::catalog::files::{self, Page};
use crate::catalog::value::Value;
use crate::catalog::{self, audit};
use crate::catalog::{CatalogError, Tx};
use crate::error::Error;
use crate::odata::{EntitySet, Kind, Literal, Property, Query, order_sql};

/// Rows of a page.
const PAGE: u64 = 10_000;

/// What may be asked of the collection.
pub static SET: EntitySet = EntitySet {
    name: "LibraryFiles",
    properties: &[
        Property::new("fileName", "v.name", Kind::Text),
        Property::new("sha256", "c.sha256", Kind::Text),
        Property::new("description", "v.description", Kind::Text),
        Property::new("creationTime", "f.created_at", Kind::Time),
        Property::new("lastUpdatedTime", "v.created_at", Kind::Time),
        Property::new("createdBy", "f.created_by", Kind::Text),
        Property::new("hasParameters", "v.has_parameters", Kind::Bool),
        Property::new("parametersDescription", "v.parameters_description", Kind::Text),
        Property::new("id", "(cast(f.id as text) collate \"C\")", Kind::Text),
        Property::new("size", "c.size", Kind::Int),
        Property::new("version", "v.number", Kind::Int),
        Property::new("tags", files::TAGS, Kind::Texts),
        Property::new("platforms", files::PLATFORMS, Kind::Texts),
        Property::new("category", "v.category", Kind::Text),
        Property::new("instructions", "v.instructions", Kind::Text),
        Property::new("legalHold", "(f.held_at is not null)", Kind::Bool),
    ],
    max_top: PAGE,
    searchable: true,
};

/// A page of the library.
#[derive(Debug)]
pub struct Listing {
    pub files: Vec<LibraryFile>,
    /// How many match in all, if that was asked.
    pub count: Option<u64>,
    /// The change that the page shows the library at.
    pub change: i64,
    /// Where the next page begins; none after the last.
    pub next: Option<String>,
}

/// Where a page begins.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Resume {
    /// In the order of names: after this key.
    After(String),
    /// In any other order.
    Offset(u64),
}

fn encode(change: i64, resume: &Resume) -> String {
    match resume {
        Resume::After(key) => format!("{change}.n{}", URL_SAFE_NO_PAD.encode(key)),
        Resume::Offset(offset) => format!("{change}.o{offset}"),
    }
}

fn decode(token: &str) -> Option<(i64, Resume)> {
    let (change, rest) = token.split_once('.')?;
    let change = change.parse().ok().filter(|change| *change >= 0)?;
    let resume = match rest.split_at_checked(1)? {
        ("n", key) => Resume::After(
            String::from_utf8(URL_SAFE_NO_PAD.decode(key).ok()?)
                .ok()
                // No name has it, and PostgreSQL fails on it.
                .filter(|key| !key.contains('\0'))?,
        ),
        ("o", offset) => Resume::Offset(offset.parse().ok().filter(|offset| i64::try_from(*offset).is_ok())?),
        _ => return None,
    };
    Some((change, resume))
}

impl Library {
    /// The number of the last change: two equal numbers mean that nothing changed between.
    pub async fn last_change(&self) -> Result<i64, Error> {
        self.catalog.read(|tx| Box::pin(async move { Ok(audit::last_change(tx).await?) })).await
    }

    /// One page of what a query asks for.
    pub async fn list(&self, query: Query) -> Result<Listing, Error> {
        if query.search.is_some() {
            self.indexed().await?;
        }
        self.catalog.snapshot(move |tx| Box::pin(list(tx, query))).await
    }
}

async fn list(tx: &mut Tx, query: Query) -> Result<Listing, Error> {
    let newest = audit::last_change(tx).await?;
    let (change, resume) = match &query.skip_token {
        None => (newest, Resume::Offset(query.skip)),
        Some(token) => decode(token).filter(|(change, _)| *change <= newest).ok_or_else(|| {
            Error::OData(
                "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is".into(),
            )
        })?,
    };
    let mut params = Vec::new();
    let filter = query.filter.as_ref().map(|filter| filter.to_sql(&mut params));
    let mut params = params.into_iter().map(value).collect();
    let search = match &query.search {
        Some(search) => Some(catalog::search::condition(tx, &wanted(search)?, &mut params)),
        None => None,
    };
    let conditions: Vec<String> = filter.into_iter().chain(search).map(|sql| format!("({sql})")).collect();
    let (after, offset) = match &resume {
        Resume::After(key) => (Some(key.as_str()), 0),
        Resume::Offset(offset) => (None, *offset),
    };
    let limit = query.top.unwrap_or(PAGE);
    let mut page = Page {
        at: (change != newest).then_some(change),
        filter: (!conditions.is_empty()).then(|| (conditions.join(" and "), params)),
        after,
        order: order_sql(&query.order_by),
        limit: limit + 1,
        offset,
    };
    let mut found = if limit == 0 { Vec::new() } else { files::list(tx, &page).await? };
    let more = found.len() as u64 > limit;
    found.truncate(limit as usize);
    // A client that says `$top` turns the pages itself.
    let next = if more && query.top.is_none() { Some(next(&query, change, offset, &found)?) } else { None };
    let count = if query.count {
        page.after = None;
        Some(files::count(tx, &page).await?)
    } else {
        None
    };
    Ok(Listing { files: found, count, change, next })
}

fn next(query: &Query, change: i64, offset: u64, found: &[LibraryFile]) -> Result<String, CatalogError> {
    let last =
        found.last().ok_or_else(|| CatalogError::Shape("a page without rows has a next one".into()))?;
    let resume = if query.order_by.is_empty() {
        Resume::After(super::name::key(&last.file_name))
    } else {
        Resume::Offset(offset + found.len() as u64)
    };
    Ok(encode(change, &resume))
}

/// A literal as a parameter of a statement.
pub(crate) fn value(literal: Literal) -> Value {
    match literal {
        // No filter has a list for a parameter.
        Literal::Null | Literal::Texts(_) => Value::Null,
        Literal::Text(text) => Value::Text(text),
        Literal::Bool(value) => Value::Bool(value),
        Literal::Int(value) => Value::Int(value),
        Literal::Time(time) => time.into(),
    }
}

#[cfg(test)]
mod tests {
    use super::{Resume, decode, encode};

    #[test]
    fn tokens_come_back_as_they_were_and_others_are_refused() {
        for resume in
            [Resume::After("übung 1.ps1".into()), Resume::After(String::new()), Resume::Offset(20_000)]
        {
            assert_eq!(decode(&encode(7, &resume)), Some((7, resume)));
        }
        for bad in [
            "",
            ".",
            "7",
            "7.",
            "7.x1",
            "7.o",
            "7.o-1",
            "-1.o1",
            "7.n%",
            "7.nAA",
            "7.o18446744073709551615",
            "é.é",
        ] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
