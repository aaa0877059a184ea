//! For the people and machines that watch the server: `/healthz`, `/readyz` and `/metrics`, on a listener apart.

use std::sync::Arc;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{StatusCode, header};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::app::App;

/// Serves until `stop` turns true.
pub async fn serve(app: Arc<App>, listener: TcpListener, mut stop: watch::Receiver<bool>) {
    let router = Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(metrics))
        .with_state(app);
    let stopped = async move {
        let _ = stop.wait_for(|stop| *stop).await;
    };
    if let Err(e) = axum::serve(listener, router).with_graceful_shutdown(stopped).await {
        tracing::error!(error = %e, "the listener for operations ended");
    }
}

/// Ready means that the database answered and the blob store took, gave back and deleted bytes just now.
async fn ready(State(app): State<Arc<App>>) -> Response {
    let (catalog, blobs) = tokio::join!(app.catalog.ping(), app.blobs.probe());
    let mut problems = Vec::new();
    problems.extend(catalog.err().map(|e| format!("database: {}\n", crate::error::Error::from(e).chain())));
    problems.extend(blobs.err().map(|e| format!("blobs: {}\n", crate::error::Error::from(e).chain())));
    if problems.is_empty() {
        return "ready\n".into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, problems.concat()).into_response()
}

async fn metrics(State(app): State<Arc<App>>) -> Response {
    if let Ok((files, bytes)) = app.library.size().await {
        app.metrics.library(files, bytes);
    }
    app.metrics.agents(app.hub.len());
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], app.metrics.text()).into_response()
}
