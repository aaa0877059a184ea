//! Servers, issuers, folders and bundles that mean harm: no secret leaves, nothing is written outside, memory and time are
//! bounded.

mod bundle;
mod crash;
mod folder;
mod hostile;
mod issuer;
mod server;
mod user;
