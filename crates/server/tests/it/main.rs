//! The server from outside: real processes, real sockets, real neighbours.

mod bad_input;
mod library_wire;
mod odata_wire;
mod openapi;
mod operations;
mod public_clients;
mod settings;
pub mod support;
mod support_selftest;
mod under_test;
