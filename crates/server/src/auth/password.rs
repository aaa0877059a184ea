//! Passwords of users: Argon2id over a salt of their own, in PHC's form. Where there is no user the same work is done.

use argon2::password_hash::{PasswordHash, PasswordHasher as _, PasswordVerifier as _, SaltString};
use argon2::{Algorithm, Argon2, Params, Version};

use super::secret::{Hidden, random};

/// OWASP's parameters: 19 MiB, two passes, one lane.
const MEMORY_KIB: u32 = 19 * 1024;
const PASSES: u32 = 2;
const SHORTEST: usize = 12;
/// Longer ones are not looked at.
pub const LONGEST: usize = 1024;

/// A hash of no known password, for those who are no users.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    #[error("the password has fewer than {SHORTEST} characters: take a longer one")]
    Short,
    #[error("the password is longer than {LONGEST} bytes: take a shorter one")]
    Long,
    #[error("the password is the user's name, or hardly more: take another one")]
    Name,
    #[error("the password is one character again and again: take another one")]
    Dull,
    #[error("the password cannot be hashed")]
    Failed,
}

/// # Errors
/// What is wrong with it.
pub fn check(password: &str, name: &str) -> Result<(), PasswordError> {
    if password.chars().count() < SHORTEST {
        return Err(PasswordError::Short);
    }
    if password.len() > LONGEST {
        return Err(PasswordError::Long);
    }
    let (lower, name) = (password.to_lowercase(), name.to_lowercase());
    let local = name.split('@').next().unwrap_or(&name);
    let is_name = |part: &str| part.len() >= 4 && lower.replace(part, "").chars().count() < 4;
    if lower == name || is_name(&name) || is_name(local) {
        return Err(PasswordError::Name);
    }
    let first = password.chars().next();
    if password.chars().all(|c| Some(c) == first) {
        return Err(PasswordError::Dull);
    }
    Ok(())
}

/// Takes as long as a check: not for the threads that serve.
///
/// # Errors
/// When the hash cannot be made.
pub fn hash(password: &Hidden) -> Result<String, PasswordError> {
    let salt = SaltString::encode_b64(&random::<16>()).map_err(|_| PasswordError::Failed)?;
    let hash = hasher()?.hash_password(password.reveal().as_bytes(), &salt);
    hash.map(|hash| hash.to_string()).map_err(|_| PasswordError::Failed)
}

/// Whether this is the password; `None` is nobody's. Takes tens of milliseconds and 19 MiB: not for the threads that
/// serve.
pub fn verify(password: &Hidden, kept: Option<&str>) -> bool {
    let matches = |phc: &str| {
        let parsed = PasswordHash::new(phc);
        parsed
            .is_ok_and(|hash| Argon2::default().verify_password(password.reveal().as_bytes(), &hash).is_ok())
    };
    let right = matches(kept.unwrap_or(NOBODY));
    right && kept.is_some()
}

fn hasher() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|_| PasswordError::Failed)?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_knows_its_password_and_no_other() {
        let (one, two) = (Hidden::new("correct horse battery"), Hidden::new("correct horse batterz"));
        let kept = hash(&one).unwrap();
        assert!(kept.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{kept}");
        assert_ne!(kept, hash(&one).unwrap());
        assert!(verify(&one, Some(&kept)));
        assert!(!verify(&two, Some(&kept)));
        assert!(!verify(&one, None));
        assert!(!verify(&one, Some("no hash")));
    }

    #[test]
    fn nobodys_hash_is_as_much_work_as_a_users() {
        let (nobody, kept) = (PasswordHash::new(NOBODY).unwrap(), hash(&Hidden::new("x")).unwrap());
        let kept = PasswordHash::new(&kept).unwrap();
        assert_eq!(nobody.params, kept.params);
        assert_eq!((nobody.algorithm, nobody.version), (kept.algorithm, kept.version));
        assert_eq!(nobody.hash.unwrap().len(), kept.hash.unwrap().len());
    }

    #[test]
    fn short_long_and_obvious_passwords_are_refused() {
        for (password, wanted) in [
            ("elevenchars", Err(PasswordError::Short)),
            ("äöüäöüäöüäöü", Ok(())),
            ("twelve chars", Ok(())),
            ("ADA@contoso.example", Err(PasswordError::Name)),
            ("ada@contoso.example12", Err(PasswordError::Name)),
            ("aaaaaaaaaaaaaaa", Err(PasswordError::Dull)),
        ] {
            assert_eq!(check(password, "Ada@Contoso.example"), wanted, "{password}");
        }
        assert_eq!(check(&"ab".repeat(600), "ada"), Err(PasswordError::Long));
        assert_eq!(check("lovelace123lovelace", "lovelace"), Err(PasswordError::Name));
    }
}
