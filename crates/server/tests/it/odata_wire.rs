//! Query options over HTTP, on SQLite and on PostgreSQL: the same questions, the same answers.

mod options;
mod paging;
