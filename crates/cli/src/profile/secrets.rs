//! Secrets in the operating system's keyring, where the program was built with it.

use super::Proof;
use crate::failure::Failure;

/// Stands in the file where the secret itself is in the keyring.
const ELSEWHERE: &str = "in the keyring";

/// Puts the secret into the keyring; what is left is for the file.
pub fn put_away(profile: &str, proof: Option<Proof>) -> Result<Option<Proof>, Failure> {
    Ok(match proof {
        Some(Proof::ClientSecret(secret)) => {
            store(profile, &secret)?;
            Some(Proof::ClientSecret(ELSEWHERE.into()))
        }
        Some(Proof::RefreshToken(token)) => {
            store(profile, &token)?;
            Some(Proof::RefreshToken(ELSEWHERE.into()))
        }
        other => other,
    })
}

/// The proof with its secret from the keyring.
pub fn restore(profile: &str, proof: Option<Proof>) -> Result<Option<Proof>, Failure> {
    Ok(match proof {
        Some(Proof::ClientSecret(_)) => Some(Proof::ClientSecret(load(profile)?)),
        Some(Proof::RefreshToken(_)) => Some(Proof::RefreshToken(load(profile)?)),
        other => other,
    })
}

#[cfg(feature = "keyring")]
fn entry(profile: &str) -> Result<keyring::Entry, Failure> {
    // Why there is none is told here only.
    if let Err(e) = keyring::Entry::store_status() {
        let hint = if cfg!(any(windows, target_os = "macos")) {
            ""
        } else {
            ": a Secret Service such as GNOME Keyring, KWallet or KeePassXC has to run in this session"
        };
        return Err(Failure::Here(format!(
            "there is no keyring{hint}; without `--keyring`, `jumpbag login` keeps the secret in a file that only you \
             can read ({e})"
        )));
    }
    keyring::Entry::new("jumpbag", profile).map_err(|e| failed("open", &e))
}

#[cfg(feature = "keyring")]
fn failed(verb: &str, error: &keyring::Error) -> Failure {
    Failure::Here(format!("cannot {verb} the operating system's keyring: {error}"))
}

#[cfg(feature = "keyring")]
fn store(profile: &str, secret: &str) -> Result<(), Failure> {
    entry(profile)?.set_password(secret).map_err(|e| failed("write to", &e))
}

#[cfg(feature = "keyring")]
fn load(profile: &str) -> Result<String, Failure> {
    entry(profile)?.get_password().map_err(|e| match e {
        keyring::Error::NoEntry => Failure::Usage(format!(
            "the secret of profile `{profile}` is not in the keyring any more: `jumpbag login` again"
        )),
        e => failed("read from", &e),
    })
}

/// Takes the secret out of the keyring, if it is there.
#[cfg(feature = "keyring")]
pub fn forget(profile: &str) -> Result<(), Failure> {
    match entry(profile)?.delete_credential() {
        Ok(()) | Err(keyring::Error::NoEntry) => Ok(()),
        Err(e) => Err(failed("remove from", &e)),
    }
}

#[cfg(not(feature = "keyring"))]
fn without<T>() -> Result<T, Failure> {
    Err(Failure::Usage(
        "this program was built without the operating system's keyring: build it with `--features keyring`, \
         or sign in without `--keyring`"
            .into(),
    ))
}

#[cfg(not(feature = "keyring"))]
fn store(_profile: &str, _secret: &str) -> Result<(), Failure> {
    without()
}

#[cfg(not(feature = "keyring"))]
fn load(_profile: &str) -> Result<String, Failure> {
    without()
}

/// Takes the secret out of the keyring.
#[cfg(not(feature = "keyring"))]
pub fn forget(_profile: &str) -> Result<(), Failure> {
    without()
}
