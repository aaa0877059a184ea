//! Pages of collections that show what is there now: each begins where the one before ended, by a count of rows.

use crate::catalog::machines::Page;
use crate::error::Error;
use crate::library::page::value;
use crate::odata::{Query, order_sql};

/// A page of rows.
#[derive(Debug)]
pub struct Listed<T> {
    pub rows: Vec<T>,
    /// How many match in all, if that was asked.
    pub count: Option<u64>,
    /// How many rows come before the next page; none after the last.
    pub next: Option<u64>,
}

impl<T> Listed<T> {
    /// From one row more than a page holds.
    pub fn new(mut rows: Vec<T>, count: Option<u64>, limit: u64, query: &Query) -> Listed<T> {
        let more = rows.len() as u64 > limit;
        rows.truncate(limit as usize);
        // A client that says `$top` turns the pages itself.
        let next = (more && query.top.is_none()).then(|| offset(query).unwrap_or(0) + limit);
        Listed { rows, count, next }
    }

    pub fn map<U>(self, change: impl FnMut(T) -> U) -> Listed<U> {
        Listed { rows: self.rows.into_iter().map(change).collect(), count: self.count, next: self.next }
    }
}

fn offset(query: &Query) -> Option<u64> {
    match &query.skip_token {
        None => Some(query.skip),
        Some(token) => token.parse().ok().filter(|offset| *offset <= i64::MAX as u64 / 2),
    }
}

/// What a query asks of a table, and how many rows a page holds.
///
/// # Errors
/// `OData` when the page begins nowhere.
pub fn paged(query: &Query, most: u64) -> Result<(Page, u64), Error> {
    let offset = offset(query).ok_or_else(|| {
        Error::OData(
            "`$skiptoken` is not one that this server made: follow `@odata.nextLink` as it is".into(),
        )
    })?;
    let mut params = Vec::new();
    let filter = query.filter.as_ref().map(|filter| filter.to_sql(&mut params));
    let limit = query.top.unwrap_or(most);
    let page = Page {
        filter: filter.map(|sql| (sql, params.into_iter().map(value).collect())),
        order: order_sql(&query.order_by),
        limit: limit as i64 + 1,
        offset: offset as i64,
    };
    Ok((page, limit))
}
