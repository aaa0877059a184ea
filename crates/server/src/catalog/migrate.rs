//! Brings the tables up to date. A migration runs once, whole, in the order of its number; a database that is
//! newer than this program is refused rather than guessed at.

use super::{CatalogError, Tx, audit};

const MIGRATIONS: &[(i64, Text)] = &[
    (1, Text::Common(include_str!("../../migrations/0001_library.sql"))),
    (2, Text::Common(include_str!("../../migrations/0002_history.sql"))),
    (3, Text::Common(include_str!("../../migrations/0003_checkpoints.sql"))),
    (
        4,
        Text::Own {
            sqlite: include_str!("../../migrations/0004_search.sqlite.sql"),
            postgres: include_str!("../../migrations/0004_search.postgres.sql"),
        },
    ),
    (5, Text::Common(include_str!("../../migrations/0005_webhooks.sql"))),
    (6, Text::Common(include_str!("../../migrations/0006_machines.sql"))),
    (7, Text::Common(include_str!("../../migrations/0007_users.sql"))),
    (8, Text::Common(include_str!("../../migrations/0008_console.sql"))),
];

enum Text {
    Common(&'static str),
    /// What the databases have only in ways of their own.
    Own {
        sqlite: &'static str,
        postgres: &'static str,
    },
}

/// The migration that brought the chain: rows from before it are chained once.
const CHAINED: i64 = 2;

pub(super) async fn run(tx: &mut Tx, shared: bool) -> Result<(), CatalogError> {
    // Nodes that start together take turns.
    tx.lock("migrate").await?;
    tx.script("create table if not exists schema_migrations (number bigint not null primary key)").await?;
    let mut row = tx.one("select coalesce(max(number), 0) from schema_migrations", &[]).await?;
    let applied: i64 = row.take()?;
    let newest = MIGRATIONS.last().map_or(0, |(number, _)| *number);
    if applied > newest {
        return Err(CatalogError::Migration(format!(
            "database has schema {applied}, this program knows up to {newest}: run a newer jumpbag-server"
        )));
    }
    for (number, sql) in MIGRATIONS.iter().filter(|(number, _)| *number > applied) {
        match sql {
            Text::Common(sql) if shared => tx.script(&for_postgres(sql)).await?,
            Text::Own { postgres, .. } if shared => tx.script(postgres).await?,
            Text::Common(sql) | Text::Own { sqlite: sql, .. } => tx.script(sql).await?,
        }
        if *number == CHAINED {
            audit::seal(tx).await?;
        }
        tx.execute("insert into schema_migrations (number) values ($1)", &[(*number).into()]).await?;
    }
    Ok(())
}

fn for_postgres(sql: &str) -> String {
    sql.lines()
        .filter(|line| !line.starts_with("--"))
        .map(|line| line.replacen(" text", " text collate \"C\"", 1).replacen(" integer", " bigint", 1))
        .collect::<Vec<_>>()
        .join("\n")
}
