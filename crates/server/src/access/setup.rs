//! The first user of an installation, made in a browser by whoever has the link that the first start printed.

use jumpbag_wire::time::Timestamp;

use super::sign_in::kept;
use super::users::{self, Added, Person};
use crate::auth::permission::Permission;
use crate::auth::secret::{Hidden, new_secret};
use crate::catalog::audit::Actor;
use crate::catalog::{Catalog, setup};
use crate::error::Error;

/// For how long the link is good, in seconds.
const GOOD_FOR: i64 = 24 * 3600;

/// Makes the link's code.
///
/// # Errors
/// Failures of the server.
pub async fn offer(catalog: &Catalog, now: Timestamp) -> Result<Hidden, Error> {
    let code = new_secret();
    let sha256 = kept(&code);
    catalog
        .write(move |tx| {
            Box::pin(async move {
                setup::offer(tx, &sha256, now.plus_secs(GOOD_FOR)).await?;
                Ok::<_, Error>(())
            })
        })
        .await?;
    Ok(code)
}

/// Whether the link still counts.
///
/// # Errors
/// Failures of the server.
pub async fn is_good(catalog: &Catalog, code: &Hidden, now: Timestamp) -> Result<bool, Error> {
    let sha256 = kept(code);
    catalog.read(move |tx| Box::pin(async move { Ok(setup::is_good(tx, &sha256, now).await?) })).await
}

/// Makes the first user, who may do everything, and uses the link up.
///
/// # Errors
/// `Forbidden` when the link does not count, `InvalidInput` when a value cannot be.
pub async fn first_user(
    catalog: &Catalog,
    code: &Hidden,
    name: &str,
    display_name: Option<&str>,
    password: &Hidden,
    actor: Actor,
    now: Timestamp,
) -> Result<Added, Error> {
    // Before the password is hashed: that is work that strangers shall not cause.
    if !is_good(catalog, code, now).await? {
        return Err(spent());
    }
    let everything = Permission::ALL.iter().copied().filter(|permission| permission.is_for(false));
    let person = Person {
        name: name.to_owned(),
        display_name: display_name.map(str::to_owned),
        permissions: everything.collect(),
        password: password.clone(),
        totp: false,
    };
    users::add_by_link(catalog, kept(code), person, actor, now).await
}

/// Why a link does not count.
pub fn spent() -> Error {
    Error::Forbidden(
        "This link was used, is older than a day, or somebody was added in another way. On the server, \
         `jumpbag-server users add NAME` adds people."
            .into(),
    )
}
