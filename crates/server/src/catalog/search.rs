//! The databases' own full-text indexes: a document for each version, made of words that are normalised before they
//! get here, so that both databases find the same. The index follows the versions.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use super::value::Value;
use super::{CatalogError, Tx, audit, history};

/// Words of a document that count: as many as PostgreSQL keeps the places of.
pub const MAX_WORDS: usize = 16_000;

/// Words in a row, of which the last may be a beginning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Words {
    pub words: Vec<String>,
    pub is_prefix: bool,
}

/// What documents are looked for by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    Words(Words),
    All(Vec<Wanted>),
    Any(Vec<Wanted>),
    Not(Box<Wanted>),
}

/// A condition over `v`, a version; its parameters are added to `params`.
pub fn condition(tx: &Tx, wanted: &Wanted, params: &mut Vec<Value>) -> String {
    let chain = |parts: &[Wanted], word: &str, params: &mut Vec<Value>| {
        let parts: Vec<_> = parts.iter().map(|part| condition(tx, part, params)).collect();
        format!("({})", parts.join(word))
    };
    match wanted {
        Wanted::All(parts) => chain(parts, " and ", params),
        Wanted::Any(parts) => chain(parts, " or ", params),
        Wanted::Not(part) => format!("not {}", condition(tx, part, params)),
        Wanted::Words(words) if tx.is_postgres() => {
            params.push(tsquery(words).into());
            let n = params.len();
            format!(
                "v.born in (select d.rowid from documents d where d.words @@ cast(cast(${n} as text) as tsquery))"
            )
        }
        Wanted::Words(words) => {
            let star = if words.is_prefix { " *" } else { "" };
            params.push(format!("\"{}\"{star}", words.words.join(" ")).into());
            format!("v.born in (select rowid from documents where documents match ${})", params.len())
        }
    }
}

fn tsquery(words: &Words) -> String {
    let quoted: Vec<_> = words.words.iter().map(|word| format!("'{word}'")).collect();
    quoted.join(" <-> ") + if words.is_prefix { ":*" } else { "" }
}

/// The words with their places, in PostgreSQL's own form: its parser would find other words.
fn tsvector(words: &str) -> String {
    /// More places of one word are not kept.
    const PLACES: usize = 255;
    let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (place, word) in words.split(' ').filter(|word| !word.is_empty()).take(MAX_WORDS).enumerate() {
        places.entry(word).or_default().push(place + 1);
    }
    let mut text = String::with_capacity(words.len() * 2);
    for (word, places) in places {
        let _ = write!(text, "'{word}'");
        for (index, place) in places.iter().take(PLACES).enumerate() {
            let _ = write!(text, "{}{place}", if index == 0 { ':' } else { ',' });
        }
        text.push(' ');
    }
    text
}

/// What the index does not have yet.
#[derive(Debug)]
pub struct Behind {
    /// The change up to which the index has every version.
    pub indexed: i64,
    /// Up to which it has them with `versions`.
    pub then: i64,
    pub versions: Vec<history::VersionRow>,
}

/// Versions that are not in the index, at most `limit`.
pub async fn behind(tx: &mut Tx, limit: i64) -> Result<Behind, CatalogError> {
    let indexed = indexed(tx).await?;
    let newest = audit::last_change(tx).await?;
    let versions = history::born_after(tx, indexed, limit).await?;
    let whole = (versions.len() as i64) < limit;
    let then = versions.last().filter(|_| !whole).map_or(newest, |last| last.born);
    Ok(Behind { indexed, then, versions })
}

/// The change up to which the index has every version.
pub async fn indexed(tx: &mut Tx) -> Result<i64, CatalogError> {
    tx.one("select change from search_state", &[]).await?.take()
}

/// Adds documents, words with single spaces between, by version; `false` when somebody else was faster.
pub async fn index(tx: &mut Tx, behind: &Behind, documents: &[(i64, String)]) -> Result<bool, CatalogError> {
    let sql = "update search_state set change = $2 where change = $1";
    if tx.execute(sql, &[behind.indexed.into(), behind.then.into()]).await? == 0 {
        return Ok(false);
    }
    // A version may have been purged since it was read; one that is there stays until its document is.
    let sql = if tx.is_postgres() {
        "insert into documents (rowid, words) select $1, cast(cast($2 as text) as tsvector) \
         from versions v where v.born = $1 for key share"
    } else {
        "insert into documents (rowid, words) select $1, $2 from versions v where v.born = $1"
    };
    for (version, words) in documents {
        let words = if tx.is_postgres() { tsvector(words) } else { first_words(words).to_owned() };
        tx.execute(sql, &[(*version).into(), words.into()]).await?;
    }
    Ok(true)
}

fn first_words(words: &str) -> &str {
    words.match_indices(' ').nth(MAX_WORDS - 1).map_or(words, |(end, _)| &words[..end])
}

/// Takes a version out of the index.
pub(super) async fn forget(tx: &mut Tx, version: i64) -> Result<(), CatalogError> {
    tx.execute("delete from documents where rowid = $1", &[version.into()]).await?;
    Ok(())
}

/// Takes words that no version has any more out of the index's files, a piece at a time; whether there is more to
/// do. What [`forget`] leaves in SQLite's index is found no more, but there to be read. PostgreSQL's `vacuum` does it
/// there.
pub async fn compact(tx: &mut Tx, first: bool) -> Result<bool, CatalogError> {
    /// Pages that one step may write.
    const STEP: i64 = 500;
    if tx.is_postgres() {
        return Ok(false);
    }
    let before: i64 = tx.one("select total_changes()", &[]).await?.take()?;
    // A negative number begins to merge everything, a positive one goes on.
    let step = if first { -STEP } else { STEP };
    tx.execute("insert into documents (documents, rank) values ('merge', $1)", &[step.into()]).await?;
    let after: i64 = tx.one("select total_changes()", &[]).await?.take()?;
    // The step itself counts as one.
    Ok(after - before >= 2)
}

#[cfg(test)]
mod tests {
    use super::{MAX_WORDS, first_words, tsvector};

    #[test]
    fn words_keep_their_places() {
        assert_eq!(tsvector("get process get"), "'get':1,3 'process':2 ");
        assert_eq!(tsvector(""), "");
        let many = "a ".repeat(MAX_WORDS) + "end";
        assert!(!tsvector(&many).contains("end"));
        assert_eq!(first_words(&many).split(' ').count(), MAX_WORDS);
        assert_eq!(first_words("a b"), "a b");
    }
}
