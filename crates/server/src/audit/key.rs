//! The key that signs the audit log's checkpoints: in the catalog, or in a file that whoever writes the database cannot
//! read.

use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use jumpbag_wire::note::{Checkpoint, PublicKey, signed};
use jumpbag_wire::time::Timestamp;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject;

use crate::catalog::{Catalog, checkpoints};
use crate::error::Error;
use crate::files;

/// A key opened for use.
pub struct SealKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

/// The name of a tenant's log, and of the key that signs for it.
pub fn log_name(tenant: &str) -> String {
    format!("jumpbag/{tenant}/audit")
}

/// Checks signatures for [`jumpbag_wire::note`].
pub fn check(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

impl SealKey {
    /// The key that is there, if there is one.
    ///
    /// # Errors
    /// When it cannot be read or is no Ed25519 key.
    pub async fn find(
        catalog: &Catalog,
        file: Option<&Path>,
        tenant: &str,
    ) -> Result<Option<SealKey>, Error> {
        let name = log_name(tenant);
        let Some(file) = file else {
            let wanted = name.clone();
            let pem = catalog
                .read(move |tx| Box::pin(async move { Ok::<_, Error>(checkpoints::key(tx, &wanted).await?) }))
                .await?;
            return pem.map(|pem| SealKey::open(&name, &pem, "the key of the audit log")).transpose();
        };
        match std::fs::read_to_string(file) {
            Ok(pem) => SealKey::open(&name, &pem, &shown(file)).map(Some),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(e) => Err(Error::Internal(format!("cannot read {}: {e}", shown(file)))),
        }
    }

    /// The key that is there, or a new one. Of several nodes that make one at once the first makes it.
    ///
    /// # Errors
    /// As for `find`, and when a new one cannot be kept.
    pub async fn ensure(
        catalog: &Catalog,
        file: Option<&Path>,
        tenant: &str,
        now: Timestamp,
    ) -> Result<SealKey, Error> {
        if let Some(key) = SealKey::find(catalog, file, tenant).await? {
            return Ok(key);
        }
        let pair = Ed25519KeyPair::generate().and_then(|pair| pair.to_pkcs8v1());
        let pair = pair.map_err(|_| Error::Internal("no key for the audit log could be made".into()))?;
        let pem = crate::auth::keys::pem(pair.as_ref());
        match file {
            Some(file) => match files::create_private(file, pem.as_bytes()) {
                Err(e) if e.kind() != std::io::ErrorKind::AlreadyExists => {
                    return Err(Error::Internal(format!("cannot write {}: {e}", shown(file))));
                }
                _ => {}
            },
            None => {
                let name = log_name(tenant);
                catalog
                    .write(move |tx| {
                        Box::pin(async move {
                            Ok::<_, Error>(checkpoints::insert_key(tx, &name, &pem, now).await?)
                        })
                    })
                    .await?;
            }
        }
        let key = SealKey::find(catalog, file, tenant).await?;
        key.ok_or_else(|| Error::Internal("the key of the audit log is gone again".into()))
    }

    fn open(name: &str, pem: &str, place: &str) -> Result<SealKey, Error> {
        let bad = |what: &str| Error::Internal(format!("{place}: {what}"));
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem.as_bytes())
            .map_err(|_| bad("expected a PEM file with a private key in PKCS#8 form"))?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der())
            .map_err(|_| bad("expected an Ed25519 key (`openssl genpkey -algorithm ed25519` makes one)"))?;
        let bytes = pair.public_key().as_ref().try_into().map_err(|_| bad("expected an Ed25519 key"))?;
        let public = PublicKey::new(name, bytes).map_err(|e| bad(&e.to_string()))?;
        Ok(SealKey { pair, public })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// A signed note over the entry of this number and hash.
    ///
    /// # Errors
    /// When the hash is none.
    pub fn seal(&self, number: i64, head: &str) -> Result<String, Error> {
        let checkpoint = Checkpoint { origin: self.public.name().into(), number, head: head.into() };
        let text = checkpoint.text().map_err(|e| Error::Internal(format!("the audit log's head: {e}")))?;
        Ok(signed(&text, &self.public, self.pair.sign(text.as_bytes()).as_ref()))
    }
}

fn shown(file: &Path) -> String {
    format!("`{}` (setting `audit_key_file`)", file.display())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8032, section 7.1, the first vector, as `openssl` writes such a key.
    const PEM: &str = "-----BEGIN PRIVATE KEY-----\n\
        MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
        -----END PRIVATE KEY-----\n";

    #[test]
    fn a_key_made_elsewhere_signs_as_the_standard_says() {
        let key = SealKey::open("example.org/log", PEM, "here").unwrap();
        let public = hex(&key.pair.public_key().as_ref()[..4]);
        assert_eq!(public, "d75a9801");
        let head = "ab".repeat(32);
        let note = key.seal(7, &head).unwrap();
        let keys = [key.public().clone()];
        let checkpoint = Checkpoint::open(&note, &keys, check).unwrap();
        assert_eq!((checkpoint.number, checkpoint.head), (7, head));
        for (place, _) in note.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
            let mut altered = note.clone();
            let other = if &note[place..=place] == "A" { "B" } else { "A" };
            altered.replace_range(place..=place, other);
            assert!(Checkpoint::open(&altered, &keys, check).is_err(), "{altered}");
        }
    }

    #[test]
    fn other_keys_and_other_files_are_told() {
        let rsa = crate::auth::keys::SigningKey::generate(Timestamp::from_secs(0)).unwrap().to_pem();
        for (pem, told) in [("no key", "PKCS#8"), (rsa.as_str(), "Ed25519")] {
            let error = SealKey::open("a", pem, "here").err().unwrap().to_string();
            assert!(error.starts_with("here: expected") && error.contains(told), "{error}");
        }
    }

    use jumpbag_wire::hex::hex;
}
