//! Keys that sign bundles: Ed25519, the private one in a PEM file of its owner's, the public one as a line of text.

use std::io::Write as _;
use std::path::Path;

use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jumpbag_wire::note::PublicKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;

use crate::failure::Failure;

const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
const END: &str = "-----END PRIVATE KEY-----";
/// Names the key in signatures; the file holds it beside the key.
const NAME: &str = "# name: ";

/// A key that signs.
pub struct SigningKey {
    pair: Ed25519KeyPair,
    public: PublicKey,
}

impl SigningKey {
    /// Makes one and keeps it in a file that does not exist yet.
    ///
    /// # Errors
    /// When the file cannot be made, or the name is none.
    pub fn make(path: &Path, name: &str) -> Result<SigningKey, Failure> {
        let failed = |_| Failure::Here("cannot make a key: the cryptographic library refuses".into());
        let pair = Ed25519KeyPair::generate().map_err(failed)?;
        let der = pair.to_pkcs8v1().map_err(failed)?;
        let key = SigningKey::named(pair, name)?;
        let text = format!("{NAME}{name}\n{BEGIN}\n{}\n{END}\n", STANDARD.encode(der.as_ref()));
        let mut options = std::fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let written = options.open(path).and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        });
        written.map_err(|e| Failure::file("write", path, &e))?;
        Ok(key)
    }

    /// # Errors
    /// When the file holds no key of [`SigningKey::make`].
    pub fn read(path: &Path) -> Result<SigningKey, Failure> {
        let text = std::fs::read_to_string(path).map_err(|e| Failure::file("read", path, &e))?;
        let name = text.lines().find_map(|line| line.strip_prefix(NAME)).unwrap_or("bundle");
        let der = PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()).ok();
        let pair =
            der.and_then(|der| Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der()).ok());
        let wrong = || {
            Failure::Usage(format!(
                "`{}` holds no Ed25519 private key: `jumpbag bundle key FILE` makes one",
                path.display()
            ))
        };
        SigningKey::named(pair.ok_or_else(wrong)?, name)
    }

    fn named(pair: Ed25519KeyPair, name: &str) -> Result<SigningKey, Failure> {
        let public = pair.public_key().as_ref().try_into().ok().map(|key| PublicKey::new(name, key));
        let wrong = || Failure::Usage(format!("`{name}` cannot name a key: no spaces, no `+`"));
        let public = public.and_then(Result::ok).ok_or_else(wrong)?;
        Ok(SigningKey { pair, public })
    }

    pub fn public(&self) -> &PublicKey {
        &self.public
    }

    /// The text with its signature, as a note.
    pub fn sign(&self, text: &str) -> String {
        jumpbag_wire::note::signed(text, &self.public, self.pair.sign(text.as_bytes()).as_ref())
    }
}

/// Checks signatures for [`jumpbag_wire::note`].
pub fn check(public: &[u8; 32], message: &[u8], signature: &[u8]) -> bool {
    UnparsedPublicKey::new(&ED25519, public).verify(message, signature).is_ok()
}

/// Public keys from the command line: each the key itself, or a file that holds it.
///
/// # Errors
/// When one of them is no key.
pub fn public(keys: &[String]) -> Result<Vec<PublicKey>, Failure> {
    let read = |key: &String| {
        let text = match Path::new(key).is_file() {
            true => std::fs::read_to_string(key).map_err(|e| Failure::file("read", Path::new(key), &e))?,
            false => key.clone(),
        };
        PublicKey::parse(&text).map_err(|e| Failure::Usage(format!("--key `{key}`: {e}")))
    };
    keys.iter().map(read).collect()
}
