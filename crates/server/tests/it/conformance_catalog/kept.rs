//! What is kept after its end: deleted files, which can come back, and holds, under which nothing goes.

use jumpbag_server::catalog::history::{self, Totals};
use jumpbag_server::catalog::{CatalogError, audit, files};

use super::{Bench, at, end, inline, put, remove};

on_both!(a_deleted_file_lives_again);

async fn totals(bench: &Bench) -> Totals {
    look!(bench.catalog, tx => history::totals(tx).await).expect("an answer")
}

/// Lets a file live again, without a version of its own: the number that it would have.
async fn revive(bench: &Bench, id: i64) -> Result<Option<i64>, CatalogError> {
    commit!(bench.catalog, tx => {
        let mut turn = audit::turn(tx).await?;
        let number = files::revive(tx, &mut turn, id).await?;
        end(tx, turn, "a.ps1", at(9)).await?;
        Ok::<_, CatalogError>(number)
    })
}

async fn a_deleted_file_lives_again(bench: &Bench) {
    let first =
        commit!(bench.catalog, tx => put(tx, "a.ps1", &inline("1"), at(1)).await).expect("an upload").id;
    assert_eq!(revive(bench, first).await.expect("an answer"), None, "it lives");
    commit!(bench.catalog, tx => remove(tx, "a.ps1", at(2)).await).expect("a delete");
    assert_eq!((totals(bench).await.files, totals(bench).await.deleted), (0, 1));
    assert_eq!(revive(bench, first).await.expect("an answer"), Some(2));
    assert_eq!((totals(bench).await.files, totals(bench).await.deleted), (1, 0));
    let row = look!(bench.catalog, tx => history::living(tx, "a.ps1").await).expect("an answer");
    let row = row.expect("it lives");
    assert_eq!((row.id, row.version, row.deleted_at, row.deleted_by), (first, 2, None, None));
    assert_eq!(revive(bench, 77).await.expect("an answer"), None, "there is no such file");
}
