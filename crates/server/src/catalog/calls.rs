//! Rows that count calls where several nodes share one database.

use super::{CatalogError, Tx};
use crate::limit::{Family, Quota, Verdict, Window};

/// Counts one call, or says how long to wait. Calls of one caller take turns. `now` is in milliseconds.
pub async fn admit(
    tx: &mut Tx,
    caller: &str,
    family: Family,
    quotas: &[Quota],
    now: i64,
) -> Result<Verdict, CatalogError> {
    tx.lock(&format!("calls {} {caller}", family.name())).await?;
    let longest = quotas.iter().map(|quota| quota.seconds * 1000).max().unwrap_or(0);
    let rows = tx
        .query(
            "select at, calls from calls where caller = $1 and family = $2 and at > $3 order by at",
            &[caller.into(), family.name().into(), (now - longest).into()],
        )
        .await?;
    let calls = rows
        .into_iter()
        .map(|mut row| Ok((row.take()?, u32::try_from(row.take::<i64>()?).unwrap_or(u32::MAX))))
        .collect::<Result<Vec<_>, CatalogError>>()?;
    let newest = calls.last().map_or(now, |(at, _): &(i64, u32)| now.max(*at));
    let verdict = Window::load(calls).admit(quotas, now);
    if verdict.retry_after.is_none() {
        tx.execute(
            "insert into calls (caller, family, at, calls) values ($1, $2, $3, 1) \
             on conflict (caller, family, at) do update set calls = calls.calls + 1",
            &[caller.into(), family.name().into(), newest.into()],
        )
        .await?;
    }
    Ok(verdict)
}

/// Forgets calls that no window counts any more.
pub async fn forget(tx: &mut Tx, before: i64) -> Result<u64, CatalogError> {
    tx.execute("delete from calls where at <= $1", &[before.into()]).await
}
