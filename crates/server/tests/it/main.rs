//! The server from outside: real processes, real sockets, real neighbours.

mod bad_input;
mod conformance_blobs;
mod conformance_catalog;
mod durability;
mod invariants;
mod library_wire;
mod model;
mod odata_wire;
mod openapi;
mod operations;
mod public_clients;
mod settings;
pub mod support;
mod support_selftest;
mod under_test;
