//! The listener: accepts connections within bounds, speaks TLS where told to, and ends by letting requests finish.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use http::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use super::edge::{self, Peer};
use super::patience::{HangUp, Patient};
use crate::app::App;

/// How long a client may take for its header fields, and for its part of a TLS handshake.
const HEADER_TIME: Duration = Duration::from_secs(15);
/// How long a client may leave an answer untaken.
const STALL_TIME: Duration = Duration::from_secs(60);
/// What a connection buffers of a request that nobody has read yet. More than the header fields that are allowed, so
/// that somewhat larger ones are refused in the envelope: beyond this hyper refuses them without one.
const READ_BUFFER: usize = 96 * 1024;

/// Serves until `stop` turns true, then waits for requests under way, but not longer than the settings say.
pub async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<Arc<ArcSwap<rustls::ServerConfig>>>,
    mut stop: watch::Receiver<bool>,
) {
    let router = super::router(&app);
    let builder = builder();
    let graceful = GracefulShutdown::new();
    let free = Arc::new(Semaphore::new(app.settings.max_connections));
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = accept(&listener, &free) => accepted,
        };
        let Some((stream, address, permit)) = accepted else {
            continue;
        };
        let connection = Connection {
            app: Arc::clone(&app),
            router: router.clone(),
            builder: builder.clone(),
            peer: Peer { address, tls: tls.is_some() },
        };
        let watcher = graceful.watcher();
        let tls = tls.as_ref().map(|config| TlsAcceptor::from(config.load_full()));
        tokio::spawn(async move {
            connection.app.metrics.connections.inc();
            let metrics = Arc::clone(&connection.app);
            match tls {
                None => connection.run(stream, watcher).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEADER_TIME, acceptor.accept(stream)).await {
                        connection.run(stream, watcher).await;
                    }
                }
            }
            metrics.metrics.connections.dec();
            drop(permit);
        });
    }
    drop(listener);
    let limit = Duration::from_secs(app.settings.shutdown_seconds);
    if tokio::time::timeout(limit, graceful.shutdown()).await.is_err() {
        tracing::warn!(seconds = limit.as_secs(), "requests were still under way: they are cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    free: &Arc<Semaphore>,
) -> Option<(TcpStream, SocketAddr, tokio::sync::OwnedSemaphorePermit)> {
    let permit = Arc::clone(free).acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, address)) => {
            let _ = stream.set_nodelay(true);
            Some((stream, address, permit))
        }
        Err(e) => {
            // Too many open files, most likely: it passes when connections end.
            tracing::warn!(error = %e, "cannot accept a connection");
            tokio::time::sleep(Duration::from_millis(100)).await;
            None
        }
    }
}

fn builder() -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIME).max_buf_size(READ_BUFFER);
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20))
        .max_concurrent_streams(64)
        .max_header_list_size(READ_BUFFER as u32)
        .initial_stream_window_size(256 * 1024)
        .initial_connection_window_size(1024 * 1024);
    builder
}

struct Connection {
    app: Arc<App>,
    router: axum::Router,
    builder: auto::Builder<TokioExecutor>,
    peer: Peer,
}

impl Connection {
    async fn run<S>(self, stream: S, watcher: hyper_util::server::graceful::Watcher)
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let Connection { app, router, builder, peer } = self;
        let hang_up = HangUp::default();
        let handle = hang_up.clone();
        let service = service_fn(move |mut request: Request<Incoming>| {
            let (app, router) = (Arc::clone(&app), router.clone());
            request.extensions_mut().insert(handle.clone());
            async move { Ok::<_, std::convert::Infallible>(edge::handle(app, router, peer, request).await) }
        });
        let connection = builder
            .serve_connection_with_upgrades(
                TokioIo::new(Patient::new(stream, HEADER_TIME, STALL_TIME)),
                service,
            )
            .into_owned();
        tokio::select! {
            ended = watcher.watch(connection) => if let Err(e) = ended {
                tracing::debug!(address = %peer.address, error = %e, "connection ended in an error");
            },
            () = hang_up.wanted() => {}
        }
    }
}
