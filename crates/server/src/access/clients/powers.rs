//! Who changes registrations, and what they may hand out: nobody more than they have.

use crate::auth::permission::Permission;
use crate::catalog::audit::Actor;
use crate::catalog::clients::ClientRow;
use crate::error::Error;

/// Who changes a registration.
pub struct By {
    pub actor: Actor,
    pub powers: Powers,
}

/// What somebody may let apps do.
pub enum Powers {
    /// At the server's own command line: everything.
    All,
    /// Over the API: what the caller's token lets the caller do.
    These(Vec<String>),
}

impl By {
    pub fn operator(command: &str) -> By {
        By { actor: Actor::operator(command), powers: Powers::All }
    }

    /// Fails unless all of `wanted` may be handed out.
    pub(super) fn may_grant(&self, wanted: &[&str]) -> Result<(), Error> {
        let lacking = self.powers.lacking(wanted.iter().copied());
        if lacking.is_empty() {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "missing {lacking}: an app is given no permission that its giver lacks; {}",
            self.powers.told()
        )))
    }

    /// Fails unless the app may do nothing that is not in these powers.
    pub(super) fn may_change(&self, client: &ClientRow) -> Result<(), Error> {
        let lacking = self.powers.lacking(client.permissions.iter().map(String::as_str));
        if lacking.is_empty() {
            return Ok(());
        }
        Err(Error::Forbidden(format!(
            "missing {lacking}: client `{}` may do that, and is changed or given a secret only by who may do all that \
             it may; {}",
            client.id,
            self.powers.told()
        )))
    }
}

impl Powers {
    /// Those of `wanted` that are not in these powers, as text. What no permission is called any more needs the same
    /// name.
    fn lacking<'a>(&self, wanted: impl Iterator<Item = &'a str>) -> String {
        let Powers::These(have) = self else { return String::new() };
        let covers = |wanted: &str| {
            let asked = Permission::parse(wanted);
            have.iter().any(|name| {
                let one = Permission::parse(name).zip(asked).is_some_and(|(one, asked)| one.covers(asked));
                one || name == wanted
            })
        };
        let lacking: Vec<_> = wanted.filter(|name| !covers(name)).map(|name| format!("`{name}`")).collect();
        lacking.join(", ")
    }

    fn told(&self) -> String {
        match self {
            Powers::All => String::new(),
            Powers::These(have) => format!("the caller has {}", have.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacking(have: &[&str], wanted: &[&str]) -> String {
        let have = have.iter().map(|name| (*name).to_owned()).collect();
        Powers::These(have).lacking(wanted.iter().copied())
    }

    #[test]
    fn what_one_has_and_what_that_covers_may_be_handed_out() {
        let have = ["Library.Manage", "Machine.Read", "Application.ReadWrite.All", "Foreign.Role"];
        assert_eq!(lacking(&have, &["Library.Read", "Library.Manage", "Machine.Read.All"]), "");
        assert_eq!(lacking(&have, &[]), "");
        assert_eq!(
            lacking(&have, &["Audit.Read", "Library.Read", "Machine.ReadWrite"]),
            "`Audit.Read`, `Machine.ReadWrite`"
        );
        assert_eq!(lacking(&["library.manage"], &["Library.Read"]), "`Library.Read`");
        assert_eq!(lacking(&["Library.Read"], &["Library.Manage"]), "`Library.Manage`");
    }

    /// A newer server may have granted what this one has no name for.
    #[test]
    fn an_unknown_permission_needs_itself() {
        assert_eq!(lacking(&["Library.Manage"], &["New.Thing"]), "`New.Thing`");
        assert_eq!(lacking(&["New.Thing"], &["New.Thing"]), "");
    }

    #[test]
    fn the_operator_may_do_everything() {
        let all: Vec<_> = Permission::ALL.iter().map(|permission| permission.name()).collect();
        By::operator("clients add").may_grant(&all).unwrap();
    }
}
