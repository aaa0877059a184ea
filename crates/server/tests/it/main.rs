//! The server from outside: real processes, real sockets, real neighbours.

mod attack;
mod certificates;
mod external_issuers;
mod permissions;
mod public_clients;
mod rate_limits;
pub mod support;
mod support_selftest;
mod tokens;
mod under_test;
