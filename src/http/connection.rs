//! What one connection may use up, and how many there may be. HTTP/1 on plain TCP; TLS and HTTP/2 are the reverse proxy's.
//!
//! The framework's dispatcher takes what a client sends without a bound of ours, so it never sees the socket itself: `stream` stands
//! before it and stops reading while a request is in hand or an answer cannot be sent, and `turn` tells it which of the two it is.
//! `door` counts connections. `docs/http.md` has the limits, decision 0028 the reasons.

mod door;
mod stream;
mod turn;

use std::fmt;
use std::io;
use std::net::TcpListener;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpServiceBuilder, Request, Response};
use actix_service::{IntoServiceFactory, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, Extensions, Server, Service};
use tokio::net::TcpStream;

use self::door::Door;
use self::stream::{Bounded, Waits};
use crate::config::Config;

pub use self::turn::one_at_a_time;

/// How long running requests may take after SIGTERM.
const DRAIN: Duration = Duration::from_secs(25);
/// Time for a client to send the headers of its first request. It is answered 408.
const HEADERS_WAIT: Duration = Duration::from_secs(10);
/// The same for every later request, after which the connection is closed.
const NEXT_HEADERS_WAIT: Duration = Duration::from_secs(15);
/// How long a connection without a request is kept.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long a connection that we close may take to hear of it.
const CLOSE_WAIT: Duration = Duration::from_secs(1);
/// An answer is copied into a connection's buffer while that holds less than this. Large ones come in pieces (`turn::PIECE`), so unsent
/// bytes are 48 KiB at most, however large the answer is.
const BUFFER: usize = 16 * 1024;

/// Serves an application on an open listener until the returned server's handle stops it. Its outermost middleware must be
/// [`one_at_a_time`].
///
/// Errors: the listener cannot be used.
pub fn serve<F, I, S, B>(listener: TcpListener, config: &Config, workers: usize, app: F) -> io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: fmt::Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let address = listener.local_addr()?;
    let door = Arc::new(Door::new(&config.http, config.database.max_conns));
    let waits = Waits { send: config.http.connections.send_wait, head: NEXT_HEADERS_WAIT };
    let server = Server::build()
        .disable_signals()
        .shutdown_timeout(DRAIN.as_secs())
        // The door refuses; a worker that stopped accepting would make everybody wait instead.
        .max_concurrent_connections(door.most().saturating_add(1));
    let server = if workers > 0 { server.workers(workers) } else { server };
    let stops = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let (door, stops) = (Arc::clone(&door), stops.clone());
        let app = app().into_factory().map_err(|error| error.into().error_response());
        let http = HttpServiceBuilder::<Bounded, _>::default()
            .graceful_shutdown_signal(move || {
                let stops = stops.clone();
                async move { stops.notified().await }
            })
            .keep_alive(KEEP_ALIVE)
            .client_request_timeout(HEADERS_WAIT)
            .client_disconnect_timeout(CLOSE_WAIT)
            .h1_write_buffer_size(BUFFER)
            .local_addr(address)
            .on_connect_ext(|stream: &Bounded, data: &mut Extensions| _ = data.insert(Rc::clone(stream.turn())))
            .h1(map_config(app, |()| AppConfig::default()));
        fn_service(move |stream: TcpStream| {
            let peer = stream.peer_addr().ok();
            let seat = door.enter(peer.map(|peer| peer.ip()));
            async move {
                let Some(seat) = seat else { return Err(DispatchError::Io(io::ErrorKind::ConnectionRefused.into())) };
                Ok((Bounded::new(stream, waits, seat), peer))
            }
        })
        .and_then(http)
    })?;
    Ok(server.run())
}
