//! Tokens of earlier runs, so that a command need not ask for one. Only those of profiles in a file are kept: the
//! environment's are a build's, and whoever uses a keyring wants no secret on the disk.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::{Token, now};
use crate::profile::{Proof, Session, Store, Turn};

const FILE: &str = "tokens.json";

#[derive(Serialize, Deserialize)]
struct Kept {
    /// Whom it is for and by which proof: a token of a former sign-in is nobody's.
    identity: String,
    access: String,
    expires: i64,
}

/// The token that was kept for this session, if it lives.
pub fn find(session: &Session) -> Option<Token> {
    let (name, identity) = place(session)?;
    let kept = read().remove(name)?;
    (kept.identity == identity && kept.expires > now())
        .then_some(Token { access: kept.access, expires: kept.expires })
}

/// Keeps a token. That it cannot be kept costs a call the next time, and nothing else.
pub fn keep(session: &Session, token: &Token) {
    let Some((name, identity)) = place(session) else { return };
    change(|all| {
        all.retain(|_, kept| kept.expires > now());
        let kept = Kept { identity, access: token.access.clone(), expires: token.expires };
        all.insert(name.to_owned(), kept);
    });
}

/// Forgets the token of a profile.
pub fn forget(name: &str) {
    change(|all| {
        all.remove(name);
    });
}

fn change(change: impl FnOnce(&mut BTreeMap<String, Kept>)) {
    let Ok(turn) = Turn::take() else { return };
    let mut all = read();
    change(&mut all);
    if let Ok(text) = serde_json::to_vec(&all) {
        let _ = turn.write(FILE, &text);
    }
}

fn place(session: &Session) -> Option<(&str, String)> {
    let name = session.name.as_deref()?;
    let profile = &session.profile;
    if profile.keyring || matches!(profile.proof, Some(Proof::Token(_))) {
        return None;
    }
    // A refresh token changes with each use; it is the same user all the same.
    let proof = match &profile.proof {
        Some(Proof::ClientSecret(secret)) => secret.clone(),
        Some(Proof::Certificate { certificate, .. }) => certificate.display().to_string(),
        _ => String::new(),
    };
    let parts = [
        profile.authority(),
        profile.tenant.as_deref().unwrap_or(""),
        profile.client_id.as_deref()?,
        profile.scope(),
        &proof,
    ];
    let digest = parts.iter().fold(Sha256::new(), |digest, part| digest.chain_update(part).chain_update([0]));
    Some((name, jumpbag_wire::hex::hex(&digest.finalize())))
}

fn read() -> BTreeMap<String, Kept> {
    let file = Store::file(FILE).ok().and_then(|path| std::fs::read(path).ok());
    file.and_then(|text| serde_json::from_slice(&text).ok()).unwrap_or_default()
}
