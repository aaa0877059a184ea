//! The words on the wire: what jumpbag's programs say to each other and to clients of the original
//! service. Plain data with its JSON form; no I/O happens here.

pub mod action;
pub mod agent;
pub mod application;
pub mod audit;
pub mod diff;
pub mod error;
pub mod event;
pub mod hex;
pub mod json;
pub mod library;
pub mod machine;
pub mod note;
pub mod odata;
pub mod patch;
pub mod time;
pub mod webhook;
