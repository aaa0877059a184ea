//! jumpbag-server: a live response library, wire-compatible with Microsoft Defender for Endpoint.

pub mod access;
pub mod actions;
pub mod agents;
pub mod app;
pub mod audit;
pub mod auth;
pub mod blobs;
pub mod catalog;
pub mod command;
pub mod config;
pub mod error;
pub mod files;
pub mod http;
pub mod library;
pub mod limit;
pub mod listed;
pub mod machines;
pub mod metrics;
pub mod multipart;
pub mod news;
pub mod odata;
pub mod rendered;
pub mod webhooks;
