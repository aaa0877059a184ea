//! The hosts of the original, as Microsoft documents them (Microsoft Defender for Endpoint: "API", "Government
//! customers").

use super::Profile;
use crate::failure::Failure;

/// One of the original's places: where its API is, and where one signs in to it.
#[derive(Debug, Clone, Copy)]
pub struct Cloud {
    pub name: &'static str,
    pub url: &'static str,
    pub authority: &'static str,
    /// Whose permissions are asked for; the common one where none is said.
    pub scope: Option<&'static str>,
}

const COMMERCIAL: &str = "https://login.microsoftonline.com";
const GOVERNMENT: &str = "https://login.microsoftonline.us";
const GCC: &str = "https://api-gcc.securitycenter.microsoft.us/.default";
const GOV: &str = "https://api-gov.securitycenter.microsoft.us/.default";

const fn commercial(name: &'static str, url: &'static str) -> Cloud {
    Cloud { name, url, authority: COMMERCIAL, scope: None }
}

pub const CLOUDS: [Cloud; 10] = [
    commercial("commercial", "https://api.security.microsoft.com"),
    commercial("us", "https://us.api.security.microsoft.com"),
    commercial("eu", "https://eu.api.security.microsoft.com"),
    commercial("uk", "https://uk.api.security.microsoft.com"),
    commercial("au", "https://au.api.security.microsoft.com"),
    commercial("swa", "https://swa.api.security.microsoft.com"),
    commercial("ina", "https://ina.api.security.microsoft.com"),
    Cloud {
        name: "gcc",
        url: "https://api-gcc.securitycenter.microsoft.us",
        authority: COMMERCIAL,
        scope: Some(GCC),
    },
    Cloud {
        name: "gcc-high",
        url: "https://api-gov.securitycenter.microsoft.us",
        authority: GOVERNMENT,
        scope: Some(GOV),
    },
    Cloud {
        name: "dod",
        url: "https://api-gov.securitycenter.microsoft.us",
        authority: GOVERNMENT,
        scope: Some(GOV),
    },
];

impl Cloud {
    /// # Errors
    /// When there is no such place.
    pub fn named(name: &str) -> Result<Cloud, Failure> {
        CLOUDS.into_iter().find(|cloud| cloud.name.eq_ignore_ascii_case(name)).ok_or_else(|| {
            let names = CLOUDS.map(|cloud| cloud.name).join(", ");
            Failure::Usage(format!("`{name}` is no cloud of the original; these are {names}"))
        })
    }

    pub fn profile(self) -> Profile {
        Profile {
            url: self.url.into(),
            authority: Some(self.authority.into()),
            scope: self.scope.map(str::to_owned),
            ..Profile::default()
        }
    }
}
