//! The one tenant a server answers for, and the ways URLs name it.

use url::Url;

/// A tenant: a GUID, and the domain names that mean the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tenant {
    /// Lower-case GUID; what `tid` says.
    pub id: String,
    pub domains: Vec<String>,
}

impl Tenant {
    pub fn new(id: impl Into<String>, domains: Vec<String>) -> Tenant {
        Tenant { id: id.into().to_ascii_lowercase(), domains }
    }

    /// Whether a path segment or a `tid` names this tenant, ignoring case. `common` and
    /// `organizations` name nobody in particular and so not this one.
    pub fn is(&self, name: &str) -> bool {
        self.id.eq_ignore_ascii_case(name)
            || self.domains.iter().any(|domain| domain.eq_ignore_ascii_case(name))
    }

    /// Whether `iss` is one this tenant's tokens carry: on whatever host, `/{tenant}/` or
    /// `/{tenant}/v2.0`.
    pub fn issues_as(&self, iss: &str) -> bool {
        self.follows(iss, &["/", "/v2.0"])
    }

    /// Whether a client assertion's `aud` means this tenant's token endpoint, on whatever host.
    pub fn is_token_endpoint(&self, aud: &str) -> bool {
        self.follows(aud, &["/oauth2/v2.0/token", "/oauth2/token", "/v2.0", "/"])
    }

    /// Whether `url` is a web address whose path is `…/{tenant}` and one of `tails`.
    fn follows(&self, url: &str, tails: &[&str]) -> bool {
        let Ok(url) = Url::parse(url) else { return false };
        if !matches!(url.scheme(), "https" | "http") || url.query().is_some() || url.fragment().is_some() {
            return false;
        }
        tails.iter().any(|tail| {
            url.path()
                .strip_suffix(tail)
                .and_then(|path| path.rsplit('/').next())
                .is_some_and(|name| self.is(name))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::Tenant;

    const ID: &str = "0f4c0bfa-7d7c-4b5a-9c59-6a2f9e9f7a10";

    fn tenant() -> Tenant {
        Tenant::new(ID.to_uppercase(), vec!["contoso.example".to_owned()])
    }

    #[test]
    fn named_by_id_or_domain_in_any_case() {
        assert_eq!(tenant().id, ID);
        for yes in [ID, "0F4C0BFA-7D7C-4B5A-9C59-6A2F9E9F7A10", "Contoso.Example"] {
            assert!(tenant().is(yes), "{yes}");
        }
        for no in ["", "common", "organizations", "consumers", "example", "a.contoso.example"] {
            assert!(!tenant().is(no), "{no}");
        }
    }

    #[test]
    fn urls_are_told_by_path_not_by_host() {
        let at = |host: &str, tail: &str| format!("{host}/{ID}{tail}");
        for host in ["https://a.example", "http://127.0.0.1:8080", "https://a.example/prefix"] {
            assert!(tenant().issues_as(&at(host, "/")));
            assert!(tenant().issues_as(&at(host, "/v2.0")));
            assert!(tenant().is_token_endpoint(&at(host, "/oauth2/token")));
            assert!(tenant().is_token_endpoint(&at(host, "/oauth2/v2.0/token")));
        }
        for no in [
            at("https://a.example", "/v2.0/x"),
            at("https://a.example", "/oauth2/token"),
            at("https://a.example", "/?x=/"),
            at("ftp://a.example", "/"),
            format!("https://a.example/not-{ID}/"),
            format!("https://a.example/?{ID}/"),
            "https://a.example/common/v2.0".to_owned(),
            ID.to_owned(),
        ] {
            assert!(!tenant().issues_as(&no), "{no}");
        }
    }
}
