//! Sign-in by device code (RFC 8628): the user confirms a code in a browser, on whatever device.

use std::time::Duration;

use serde::Deserialize;

use super::endpoint::{Denied, Granted, Issuer, user_scope};
use crate::failure::Failure;
use crate::profile::Profile;

/// What to tell the user.
#[derive(Deserialize)]
pub struct Prompt {
    #[serde(alias = "verification_url")]
    pub verification_uri: String,
    pub user_code: String,
    device_code: String,
    /// Seconds that the code is good for.
    pub expires_in: u64,
    /// Seconds between two questions whether the user has confirmed.
    #[serde(default = "five")]
    interval: u64,
}

fn five() -> u64 {
    5
}

/// By how much an issuer that is asked too often wants to be asked less, in seconds (RFC 8628, 3.5).
const SLOWER: u64 = 5;
/// An hour, and a minute between two questions: issuers give a quarter of that.
const LONGEST: u64 = 3600;
const SLOWEST: u64 = 60;

impl Issuer {
    /// Asks for a code for the user.
    ///
    /// # Errors
    /// When the issuer offers none.
    pub async fn begin_device(&self, profile: &Profile) -> Result<Prompt, Failure> {
        let form = [("client_id", profile.client_id()?), ("scope", &user_scope(profile))];
        let asked = self.ask(self.device_url().await?, &form).await?;
        let prompt: Prompt = asked.map_err(|(status, denied): (u16, Denied)| denied.failure(status))?;
        // People open what they are told to.
        if !prompt.verification_uri.starts_with("https://") && !prompt.verification_uri.starts_with("http://")
        {
            return Err(Failure::Here(format!(
                "the issuer sends you to `{}`, which is no address of a web page",
                prompt.verification_uri
            )));
        }
        Ok(Prompt { expires_in: prompt.expires_in.min(LONGEST), ..prompt })
    }

    /// Waits until the user has confirmed.
    ///
    /// # Errors
    /// When the user declines, or the code expires.
    pub async fn finish_device(&self, profile: &Profile, prompt: &Prompt) -> Result<Granted, Failure> {
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:device_code"),
            ("client_id", profile.client_id()?),
            ("device_code", &prompt.device_code),
        ];
        let until = tokio::time::Instant::now() + Duration::from_secs(prompt.expires_in);
        let mut interval = prompt.interval.clamp(1, SLOWEST);
        while tokio::time::Instant::now() < until {
            tokio::time::sleep(Duration::from_secs(interval)).await;
            match self.ask(self.token_url().await?, &form).await? {
                Ok(granted) => return Ok(granted),
                Err((_, denied)) if denied.error == "authorization_pending" => {}
                Err((_, denied)) if denied.error == "slow_down" => {
                    interval = (interval + SLOWER).min(SLOWEST)
                }
                Err((status, denied)) => return Err(denied.failure(status)),
            }
        }
        Err(Failure::Here("nobody confirmed the code in time: `jumpbag login` again".into()))
    }
}
