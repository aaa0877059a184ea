//! Rows of machines and of what they enrol with.

use jumpbag_wire::machine::Facts;
use jumpbag_wire::time::Timestamp;

use super::files::labels;
use super::value::{Row, Value};
use super::{CatalogError, Tx};

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Enrollment {
    pub id: String,
    pub tags: Vec<String>,
    pub uses: i64,
    pub expires_at: Timestamp,
    pub created_at: Timestamp,
    pub created_by: String,
}

const ENROLLMENT: &str = "select id, tags, uses, expires_at, created_at, created_by from enrollments \
                          where revoked_at is null";

fn enrollment(mut row: Row) -> Result<Enrollment, CatalogError> {
    Ok(Enrollment {
        id: row.take()?,
        tags: labels(&mut row)?,
        uses: row.take()?,
        expires_at: row.take()?,
        created_at: row.take()?,
        created_by: row.take()?,
    })
}

pub async fn insert_enrollment(tx: &mut Tx, new: &Enrollment, sha256: &str) -> Result<(), CatalogError> {
    tx.execute(
        "insert into enrollments (id, sha256, tags, uses, expires_at, created_at, created_by) \
         values ($1, $2, $3, $4, $5, $6, $7)",
        &[
            new.id.as_str().into(),
            sha256.into(),
            Value::from(serde_json::Value::from(new.tags.as_slice()).to_string()),
            new.uses.into(),
            new.expires_at.into(),
            new.created_at.into(),
            new.created_by.as_str().into(),
        ],
    )
    .await?;
    Ok(())
}

/// Takes one use of the enrolment with this secret, if it has one left.
pub async fn use_enrollment(
    tx: &mut Tx,
    sha256: &str,
    now: Timestamp,
) -> Result<Option<Enrollment>, CatalogError> {
    let sql = "update enrollments set uses = uses - 1 \
               where sha256 = $1 and uses > 0 and expires_at > $2 and revoked_at is null \
               returning id, tags, uses, expires_at, created_at, created_by";
    tx.first(sql, &[sha256.into(), now.into()]).await?.map(enrollment).transpose()
}

pub async fn enrollments(tx: &mut Tx) -> Result<Vec<Enrollment>, CatalogError> {
    let rows = tx.query(&format!("{ENROLLMENT} order by created_at, id"), &[]).await?;
    rows.into_iter().map(enrollment).collect()
}

/// Takes an enrolment out of use; `false` when there is none.
pub async fn revoke_enrollment(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let sql = "update enrollments set revoked_at = $2 where id = $1 and revoked_at is null";
    Ok(tx.execute(sql, &[id.into(), now.into()]).await? == 1)
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MachineRow {
    pub id: String,
    /// Ed25519, 32 bytes in base64.
    pub public_key: String,
    pub facts: Facts,
    pub tags: Vec<String>,
    /// Where its connection came from.
    pub address: Option<String>,
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    /// The SHA-256 of the token that its last connection confirmed, in hexadecimal digits.
    pub lineage: Option<String>,
}

const MACHINE: &str = "m.id, m.public_key, m.facts, m.tags, m.address, m.first_seen, m.last_seen, m.lineage";

fn machine(mut row: Row) -> Result<MachineRow, CatalogError> {
    let (id, public_key, facts): (String, String, String) = (row.take()?, row.take()?, row.take()?);
    let facts = serde_json::from_str(&facts)
        .map_err(|e| CatalogError::Shape(format!("facts of machine `{id}`: {e}")))?;
    Ok(MachineRow {
        id,
        public_key,
        facts,
        tags: labels(&mut row)?,
        address: row.take()?,
        first_seen: row.take()?,
        last_seen: row.take()?,
        lineage: row.take()?,
    })
}

/// Enters a machine; `false` when its key is known.
pub async fn insert(tx: &mut Tx, new: &MachineRow, enrollment: &str) -> Result<bool, CatalogError> {
    let rows = tx
        .execute(
            "insert into machines (id, public_key, name, os_platform, version, facts, tags, address, first_seen, \
             last_seen, enrollment, ip_address) values ($1, $2, $3, $4, $5, $6, '[]', $7, $8, $9, $10, $11) on conflict do nothing",
            &[
                new.id.as_str().into(),
                new.public_key.as_str().into(),
                new.facts.computer_dns_name.as_str().into(),
                new.facts.os_platform.as_str().into(),
                new.facts.version.clone().into(),
                facts_text(&new.facts),
                new.address.clone().into(),
                new.first_seen.into(),
                new.last_seen.into(),
                enrollment.into(),
                ip_address(&new.facts).map(str::to_owned).into(),
            ],
        )
        .await?;
    if rows == 1 {
        set_tags(tx, &new.id, &new.tags).await?;
    }
    Ok(rows == 1)
}

/// The first address of a machine's own that others may reach.
pub(crate) fn ip_address(facts: &Facts) -> Option<&str> {
    let own = facts.ip_addresses.iter().find(|address| address.kind != "SoftwareLoopback");
    own.map(|address| address.ip_address.as_str())
}

fn facts_text(facts: &Facts) -> Value {
    serde_json::to_value(facts).unwrap_or_default().to_string().into()
}

/// What a machine says of itself now, and from where; `false` when there is none of this id, or it was revoked.
pub async fn seen(
    tx: &mut Tx,
    id: &str,
    facts: Option<&Facts>,
    address: Option<&str>,
    now: Timestamp,
) -> Result<bool, CatalogError> {
    let sql = "update machines set last_seen = $2 where id = $1 and revoked_at is null";
    if tx.execute(sql, &[id.into(), now.into()]).await? == 0 {
        return Ok(false);
    }
    if let Some(facts) = facts {
        tx.execute(
            "update machines set name = $2, os_platform = $3, version = $4, facts = $5, address = $6, ip_address = $7 \
             where id = $1",
            &[
                id.into(),
                facts.computer_dns_name.as_str().into(),
                facts.os_platform.as_str().into(),
                facts.version.clone().into(),
                facts_text(facts),
                address.map(str::to_owned).into(),
                ip_address(facts).map(str::to_owned).into(),
            ],
        )
        .await?;
    }
    Ok(true)
}

/// Gives a machine these tags and no others.
pub async fn set_tags(tx: &mut Tx, id: &str, tags: &[String]) -> Result<(), CatalogError> {
    let text = serde_json::Value::from(tags).to_string();
    tx.execute("update machines set tags = $2 where id = $1", &[id.into(), text.into()]).await?;
    tx.execute("delete from machine_tags where machine = $1", &[id.into()]).await?;
    for tag in tags {
        let sql = "insert into machine_tags (machine, value) values ($1, $2)";
        tx.execute(sql, &[id.into(), tag.as_str().into()]).await?;
    }
    Ok(())
}

/// The machine with this id, unless it was revoked.
pub async fn find(tx: &mut Tx, id: &str) -> Result<Option<MachineRow>, CatalogError> {
    let sql = format!("select {MACHINE} from machines m where m.id = $1 and m.revoked_at is null");
    tx.first(&sql, &[id.into()]).await?.map(machine).transpose()
}

/// The machine of this name that was seen last.
pub async fn named(tx: &mut Tx, name: &str) -> Result<Option<MachineRow>, CatalogError> {
    let sql = format!(
        "select {MACHINE} from machines m where m.name = $1 and m.revoked_at is null order by m.last_seen desc limit 1"
    );
    tx.first(&sql, &[name.into()]).await?.map(machine).transpose()
}

/// Takes a machine out of use; `false` when there is none.
pub async fn revoke(tx: &mut Tx, id: &str, now: Timestamp) -> Result<bool, CatalogError> {
    let sql = "update machines set revoked_at = $2 where id = $1 and revoked_at is null";
    Ok(tx.execute(sql, &[id.into(), now.into()]).await? == 1)
}

/// Moves a machine's lineage on; `false` when it is elsewhere by now, or the machine is out of use.
pub async fn move_lineage(tx: &mut Tx, id: &str, from: Option<&str>, to: &str) -> Result<bool, CatalogError> {
    let sql = "update machines set lineage = $3 \
               where id = $1 and revoked_at is null and coalesce(lineage, '') = $2";
    Ok(tx.execute(sql, &[id.into(), from.unwrap_or_default().into(), to.into()]).await? == 1)
}

/// Lets this machine, or every one, come with any lineage. Returns how many there are.
pub async fn forget_lineage(tx: &mut Tx, id: Option<&str>) -> Result<u64, CatalogError> {
    let sql = "update machines set lineage = null where revoked_at is null";
    match id {
        Some(id) => tx.execute(&format!("{sql} and id = $1"), &[id.into()]).await,
        None => tx.execute(sql, &[]).await,
    }
}

/// Machines that a change after this one took out of use.
pub async fn revoked_after(tx: &mut Tx, change: i64) -> Result<Vec<String>, CatalogError> {
    let sql = "select target from audit where number > $1 and action = 'machine.revoke'";
    let rows = tx.query(sql, &[change.into()]).await?;
    rows.into_iter().map(|mut row| row.take()).collect()
}

/// A machine's tags, each as `l.value`.
pub const TAGS: &str = "select 1 from machine_tags l where l.machine = m.id";

/// Which rows a page holds.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// A condition over the table's alias, and its parameters from `$1` on.
    pub filter: Option<(String, Vec<Value>)>,
    /// What follows `order by`, before the table's own order.
    pub order: String,
    pub limit: i64,
    pub offset: i64,
}

impl Page {
    pub(super) fn conditions(&self) -> (String, Vec<Value>) {
        match &self.filter {
            Some((sql, params)) => (format!(" and ({sql})"), params.clone()),
            None => (String::new(), Vec::new()),
        }
    }

    pub(super) fn tail(&self, own: &str, params: &mut Vec<Value>) -> String {
        params.push(self.limit.into());
        params.push(self.offset.into());
        let (comma, n) = (if self.order.is_empty() { "" } else { ", " }, params.len());
        format!(" order by {}{comma}{own} limit ${} offset ${n}", self.order, n - 1)
    }
}

/// Machines, by name and id after the order that is asked for.
pub async fn list(tx: &mut Tx, page: &Page) -> Result<Vec<MachineRow>, CatalogError> {
    let (conditions, mut params) = page.conditions();
    let tail = page.tail("m.name, m.id", &mut params);
    let sql = format!("select {MACHINE} from machines m where m.revoked_at is null{conditions}{tail}");
    tx.query(&sql, &params).await?.into_iter().map(machine).collect()
}

pub async fn count(tx: &mut Tx, page: &Page) -> Result<u64, CatalogError> {
    let (conditions, params) = page.conditions();
    let sql = format!("select count(*) from machines m where m.revoked_at is null{conditions}");
    Ok(tx.one(&sql, &params).await?.take::<i64>()?.unsigned_abs())
}
