//! The server from outside: real processes, real sockets, real neighbours.

mod conformance_blobs;
mod conformance_catalog;
mod durability;
mod invariants;
mod model;
mod public_clients;
pub mod support;
mod support_selftest;
mod under_test;
