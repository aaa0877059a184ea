//! Real agents against a small server that speaks the protocol and can be made to misbehave.

mod agent;
mod assign;
mod connection;
mod enroll;
mod get;
mod kill;
mod proxy;
mod put;
mod script;
mod server;
mod spool;
