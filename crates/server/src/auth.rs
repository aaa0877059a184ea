//! Who a caller is: permissions, tokens made here, tokens made elsewhere. Rules only: nothing in
//! here speaks SQL or serves HTTP, and no token or secret is ever printed.

pub mod assertion;
pub mod audience;
pub mod authorize;
pub mod caller;
pub mod client;
pub mod delegated;
pub mod discovery;
pub mod issue;
pub mod issuers;
pub mod jwks;
pub mod jwt;
pub mod keys;
pub mod password;
pub mod permission;
pub mod provider;
pub mod refusal;
pub mod request;
pub mod scope;
pub mod secret;
pub mod tenant;
pub mod throttle;
pub mod totp;
pub mod verify;

#[cfg(test)]
mod testing;
