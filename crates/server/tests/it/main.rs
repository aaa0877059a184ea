//! The server from outside: real processes, real sockets, real neighbours.

mod attack;
mod audit;
mod bad_input;
mod certificates;
mod conformance_blobs;
mod conformance_catalog;
mod downloads;
mod durability;
mod events;
mod external_issuers;
mod invariants;
mod library_wire;
mod model;
mod odata_wire;
mod openapi;
mod operations;
mod permissions;
mod public_clients;
mod rate_limits;
mod settings;
pub mod support;
mod support_selftest;
mod tokens;
mod turns;
mod under_test;
mod webhooks;
