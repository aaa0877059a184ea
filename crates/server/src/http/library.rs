//! `/api/library`: the library as a whole.

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::response::Response;
use jumpbag_wire::library::Usage;

use super::allowed::{Allowed, LibraryRead};
use super::answer;
use super::edge::Context;
use crate::app::App;
use crate::error::Error;

/// How much the library holds, and how much it may hold.
#[utoipa::path(
    get, path = "/api/library/usage", tag = "library", operation_id = "getLibraryUsage",
    responses((status = 200, description = "Totals and limits", body = Usage)),
    security(("oauth2" = ["Library.Read"]), ("oauth2" = ["Library.Manage"]))
)]
pub async fn usage(
    _: Allowed<LibraryRead>,
    State(app): State<Arc<App>>,
    Extension(context): Extension<Arc<Context>>,
) -> Result<Response, Error> {
    answer::entity(&context.base, "LibraryUsage", app.library.usage().await?)
}
