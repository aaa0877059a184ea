//! Which resources a token may be asked for and which `aud` values open this service: all the
//! original has ever had, and this server's own addresses.

use url::Url;

/// The original's own application id, which clients also name as the resource.
const FIRST_PARTY_ID: &str = "fc780465-2017-40d4-a0c5-307022471b92";
const IDENTIFIER_URI: &str = "https://securitycenter.onmicrosoft.com/windowsatpservice";

/// Hosts of the original: any host below one of these.
const FAMILIES: [&str; 5] = [
    ".securitycenter.microsoft.com",
    ".securitycenter.windows.com",
    ".securitycenter.microsoft.us",
    ".security.microsoft.com",
    ".security.microsoft.us",
];

/// Whether `resource` is one of the original's identifiers, with or without a trailing slash.
pub fn is_original(resource: &str) -> bool {
    let bare = resource.strip_suffix('/').unwrap_or(resource);
    if bare.eq_ignore_ascii_case(FIRST_PARTY_ID) || bare.eq_ignore_ascii_case(IDENTIFIER_URI) {
        return true;
    }
    let Ok(url) = Url::parse(bare) else { return false };
    let plain = url.scheme() == "https"
        && url.path() == "/"
        && url.query().is_none()
        && url.fragment().is_none()
        && url.port().is_none()
        && url.username().is_empty();
    plain && url.host_str().is_some_and(|host| FAMILIES.iter().any(|family| host.ends_with(family)))
}

/// Whether two audiences are the same but for a trailing slash.
pub fn same(one: &str, other: &str) -> bool {
    one.strip_suffix('/').unwrap_or(one) == other.strip_suffix('/').unwrap_or(other)
}

/// The audience a token for `resource` carries: the original's identifiers as they were asked
/// for; for any of the server's `own` addresses, `base`, the address its tokens are issued under,
/// so that a token stays good on every host. `None` for a resource of somebody else.
pub fn resolve(resource: &str, base: &str, own: &[String]) -> Option<String> {
    if is_original(resource) {
        return Some(resource.to_owned());
    }
    let given = canonical(resource)?;
    let ours = own.iter().map(String::as_str).chain([base]);
    ours.filter_map(canonical).any(|known| known == given).then(|| base.trim_end_matches('/').to_owned())
}

/// Scheme and host in lower case, default ports gone, no trailing slash.
pub(crate) fn canonical(address: &str) -> Option<String> {
    let url = Url::parse(address).ok()?;
    Some(url.as_str().trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_identifier_of_the_original_is_known() {
        for yes in [
            "https://api.securitycenter.microsoft.com",
            "https://api.securitycenter.microsoft.com/",
            "https://API.SecurityCenter.Microsoft.com",
            "https://api.securitycenter.windows.com",
            "https://api-eu.securitycenter.microsoft.com",
            "https://api.security.microsoft.com",
            "https://eu.api.security.microsoft.com/",
            "https://api-gcc.securitycenter.microsoft.us",
            "https://api-gov.securitycenter.microsoft.us/",
            "https://securitycenter.onmicrosoft.com/windowsatpservice",
            "https://securitycenter.onmicrosoft.com/windowsatpservice/",
            "fc780465-2017-40d4-a0c5-307022471b92",
            "FC780465-2017-40D4-A0C5-307022471B92",
        ] {
            assert!(is_original(yes), "{yes}");
        }
        for no in [
            "",
            "/",
            "https://graph.microsoft.com",
            "https://userrequestsgraphapi-prd.trafficmanager.net",
            "https://security.microsoft.com/mtp/",
            "https://api.securitycenter.microsoft.com.evil.example",
            "https://evilsecuritycenter.microsoft.com.example",
            "https://evil.example/.securitycenter.microsoft.com",
            "https://api.securitycenter.microsoft.com:8443",
            "https://a@api.securitycenter.microsoft.com",
            "https://api.securitycenter.microsoft.com?x",
            "http://api.securitycenter.microsoft.com",
            "api.securitycenter.microsoft.com",
        ] {
            assert!(!is_original(no), "{no}");
        }
    }

    #[test]
    fn own_addresses_become_the_address_tokens_are_issued_under() {
        let own = vec!["https://other.example:8443".to_owned(), "not a url".to_owned()];
        let base = "https://bag.example";
        for yes in [
            "https://bag.example/",
            "HTTPS://Bag.Example",
            "https://bag.example:443",
            "https://other.example:8443/",
        ] {
            assert_eq!(resolve(yes, base, &own).as_deref(), Some(base), "{yes}");
        }
        for no in ["https://bag.example/x", "http://bag.example", "https://other.example", "not a url", ""] {
            assert_eq!(resolve(no, base, &own), None, "{no}");
        }
        let original = "https://api.securitycenter.microsoft.com/";
        assert_eq!(resolve(original, base, &own).as_deref(), Some(original));
    }
}
