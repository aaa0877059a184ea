//! What an app asks for in a user's name: permissions of one resource, and OpenID's words. An app never gets more than
//! the user has and the app was registered for.

use super::audience;
use super::permission::Permission;
use super::refusal::{TokenError, shown};
use super::tenant::Tenant;

/// A scope that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    /// `aud` of the access token.
    pub audience: String,
    /// In the order asked for, each once: `openid`, `offline_access`, …, permissions, `.default` for all.
    words: Vec<String>,
}

const OPENID: [&str; 4] = ["openid", "profile", "email", "offline_access"];
/// All permissions that there are.
const ALL: &str = ".default";

impl Scope {
    /// Reads `scope` of a request. Without a resource the access token is for this server.
    ///
    /// # Errors
    /// When a word means nothing here, or there is more than one resource.
    pub fn parse(text: &str, base: &str, own: &[String], tenant: &Tenant) -> Result<Scope, TokenError> {
        let mut resource: Option<&str> = None;
        let mut words: Vec<String> = Vec::new();
        for one in text.split_ascii_whitespace() {
            let word = match (OPENID.contains(&one), named(one)) {
                (true, _) => one,
                (false, Some((of, word))) => {
                    if of.is_some() && resource.is_some() && of != resource {
                        return Err(TokenError::SeveralResources);
                    }
                    resource = resource.or(of);
                    word
                }
                (false, None) => return Err(TokenError::UnknownScope(shown(one))),
            };
            if !words.iter().any(|known| known == word) {
                words.push(word.to_owned());
            }
        }
        if words.is_empty() {
            return Err(TokenError::MissingParameter("scope"));
        }
        let audience = match resource {
            None => base.trim_end_matches('/').to_owned(),
            Some(resource) => audience::resolve(resource, base, own).ok_or_else(|| {
                TokenError::UnknownResource { resource: shown(resource), tenant: tenant.id.clone() }
            })?,
        };
        Ok(Scope { audience, words })
    }

    /// What was written down of one.
    pub fn kept(text: &str, audience: &str) -> Scope {
        let words = text.split_ascii_whitespace().map(str::to_owned).collect();
        Scope { audience: audience.to_owned(), words }
    }

    /// To be written down.
    pub fn text(&self) -> String {
        self.words.join(" ")
    }

    fn has(&self, word: &str) -> bool {
        self.words.iter().any(|known| known == word)
    }

    pub fn openid(&self) -> bool {
        self.has("openid")
    }

    /// Whether a refresh token was asked for.
    pub fn offline(&self) -> bool {
        self.has("offline_access")
    }

    /// Which of the user's permissions it comes to, for an app that may have `app`; `None` where an app may have all.
    pub fn granted<'a>(&self, user: &'a [String], app: Option<&[String]>) -> Vec<&'a str> {
        let asked = |name: &str| self.has(ALL) || self.has(name);
        let may = |name: &String| app.is_none_or(|app| app.contains(name));
        user.iter().filter(|name| asked(name) && may(name)).map(String::as_str).collect()
    }

    /// `scope` of the answer.
    pub fn answered(&self, granted: &[&str]) -> String {
        let openid = self.words.iter().map(String::as_str).filter(|word| OPENID.contains(word));
        let audience = self.audience.trim_end_matches('/');
        let names = granted.iter().map(|name| format!("{audience}/{name}"));
        openid.map(str::to_owned).chain(names).collect::<Vec<_>>().join(" ")
    }
}

/// The resource of a scope, where it names one, and a permission or [`ALL`].
fn named(word: &str) -> Option<(Option<&str>, &str)> {
    if let Some(resource) = word.strip_suffix("/.default").filter(|resource| !resource.is_empty()) {
        return Some((Some(resource), ALL));
    }
    let (resource, name) = match word.rsplit_once('/') {
        Some((resource, name)) => (Some(resource), name),
        None => (None, word),
    };
    Permission::parse(name).map(|permission| (resource, permission.name()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::testing::{BASE, tenant};

    const ORIGINAL: &str = "https://api.securitycenter.microsoft.com";

    fn parse(text: &str) -> Result<Scope, TokenError> {
        Scope::parse(text, BASE, &[], &tenant())
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn default_is_all_that_user_and_app_both_have() {
        let scope = parse(&format!("openid offline_access {ORIGINAL}/.default")).unwrap();
        assert_eq!(scope.audience, ORIGINAL);
        assert!(scope.openid() && scope.offline());
        let user = names(&["Library.Manage", "Machine.Read"]);
        assert_eq!(scope.granted(&user, None), ["Library.Manage", "Machine.Read"]);
        assert_eq!(scope.granted(&user, Some(&names(&["Library.Manage", "Audit.Read"]))), ["Library.Manage"]);
        assert_eq!(
            scope.answered(&["Library.Manage"]),
            format!("openid offline_access {ORIGINAL}/Library.Manage")
        );
        assert_eq!(Scope::kept(&scope.text(), &scope.audience), scope);
    }

    #[test]
    fn single_permissions_are_those_and_no_others() {
        let scope = parse(&format!("{ORIGINAL}/Library.Read {ORIGINAL}/Machine.Read")).unwrap();
        let user = names(&["Library.Manage", "Library.Read"]);
        assert_eq!(scope.granted(&user, None), ["Library.Read"]);
        assert!(!scope.openid() && !scope.offline());
        let own = parse("Library.Manage").unwrap();
        assert_eq!((own.audience.as_str(), own.granted(&user, None)), (BASE, vec!["Library.Manage"]));
    }

    #[test]
    fn openid_alone_grants_nothing() {
        let scope = parse("openid profile email").unwrap();
        assert_eq!(scope.granted(&names(&["Library.Manage"]), None), Vec::<&str>::new());
        assert_eq!(scope.audience, BASE);
    }

    #[test]
    fn what_means_nothing_is_refused() {
        assert_eq!(parse(""), Err(TokenError::MissingParameter("scope")));
        assert!(matches!(parse("User.Read"), Err(TokenError::UnknownScope(_))));
        assert!(matches!(parse("/.default"), Err(TokenError::UnknownScope(_))));
        assert!(matches!(parse("openid Library.manage"), Err(TokenError::UnknownScope(_))));
        assert!(matches!(
            parse("https://graph.microsoft.com/.default"),
            Err(TokenError::UnknownResource { .. })
        ));
        let two = format!("{ORIGINAL}/.default {BASE}/Library.Manage");
        assert_eq!(parse(&two), Err(TokenError::SeveralResources));
    }
}
