//! What operators do beside a running server, and what the server tells them.

mod backup;
mod clients;
mod health;
mod logs;
mod stop;
