//! Collections that the original has and jumpbag has nothing in. Connectors ask for them when they start, and take an error
//! for a broken service.

use std::sync::Arc;

use axum::Extension;
use axum::response::Response;

use super::allowed::{Allowed, MachineRead};
use super::answer;
use super::edge::Context;
use crate::error::Error;

/// Alerts: there are none here.
#[utoipa::path(
    get, path = "/api/alerts", tag = "machines", operation_id = "listAlerts",
    responses((status = 200, description = "An empty collection, for connectors that ask for it when they start")),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn alerts(
    _: Allowed<MachineRead>,
    Extension(context): Extension<Arc<Context>>,
) -> Result<Response, Error> {
    empty(&context, "Alerts")
}

/// Indicators: there are none here.
#[utoipa::path(
    get, path = "/api/indicators", tag = "machines", operation_id = "listIndicators",
    responses((status = 200, description = "An empty collection, for connectors that ask for it when they start")),
    security(("oauth2" = ["Machine.Read.All"]), ("oauth2" = ["Machine.ReadWrite.All"]))
)]
pub async fn indicators(
    _: Allowed<MachineRead>,
    Extension(context): Extension<Arc<Context>>,
) -> Result<Response, Error> {
    empty(&context, "Indicators")
}

fn empty(context: &Context, set: &str) -> Result<Response, Error> {
    answer::collection(&context.base, set, Vec::<()>::new(), "", None::<u64>)
}
