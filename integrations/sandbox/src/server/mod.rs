//! The server: one line for each provider, the control, the page.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

use actix_web::body::BoxBody;
use actix_web::dev::ServerHandle;
use actix_web::web::{self, Data};
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, middleware, rt};
use tokio::sync::oneshot;

use crate::providers::openpix::key;
use crate::providers::{CAST, smtp};
use crate::server::control::{Control, http};
use crate::server::pages::mailbox;
use crate::world::config::SandboxConfig;
use crate::world::fault::Fault;
use crate::world::{World, webhooks};

pub(crate) mod control;
mod faults;
mod pages;

/// A mail with attachments is the largest thing that anyone sends.
const BODY_MAX: usize = 40 * 1024 * 1024;

/// A running sandbox. Dropping it stops it, without waiting.
#[derive(Debug)]
pub struct Sandbox {
    addr: SocketAddr,
    smtp_addr: SocketAddr,
    control: Control,
    world: Arc<World>,
    handle: ServerHandle,
    ended: Option<oneshot::Receiver<()>>,
}

/// Starts a sandbox on threads of its own: it runs however busy the caller's runtime is.
/// Errors: the address is taken, or the journal is damaged or in use.
pub async fn start(cfg: SandboxConfig) -> std::io::Result<Sandbox> {
    let listener = TcpListener::bind(cfg.listen)?;
    let addr = listener.local_addr()?;
    let letterbox = TcpListener::bind((cfg.listen.ip(), cfg.smtp_port))?;
    letterbox.set_nonblocking(true)?;
    let smtp_addr = letterbox.local_addr()?;
    let reachable = if addr.ip().is_unspecified() { SocketAddr::from(([127, 0, 0, 1], addr.port())) } else { addr };
    let world = Arc::new(World::new(cfg, CAST, format!("http://{reachable}"))?);
    let (ready, started) = oneshot::channel();
    let (end, ended) = oneshot::channel();
    let shared = Arc::clone(&world);
    std::thread::Builder::new().name("sandbox".into()).spawn(move || {
        rt::System::new().block_on(serve(shared, listener, letterbox, ready));
        let _ = end.send(()); // nobody waits after a drop
    })?;
    let handle = started.await.map_err(|_| std::io::Error::other("the sandbox's thread ended"))??;
    Ok(Sandbox { addr, smtp_addr, control: Control::new(Arc::clone(&world)), world, handle, ended: Some(ended) })
}

async fn serve(
    world: Arc<World>,
    listener: TcpListener,
    letterbox: TcpListener,
    ready: oneshot::Sender<std::io::Result<ServerHandle>>,
) {
    let data = Data::from(Arc::clone(&world));
    let server = HttpServer::new(move || {
        let mut app = App::new()
            .app_data(data.clone())
            .app_data(web::PayloadConfig::new(BODY_MAX))
            .configure(http::routes)
            .configure(pages::routes)
            .configure(mailbox::routes);
        for provider in CAST.providers {
            app = app.service(
                web::scope(&format!("/{}", provider.name)).configure(provider.routes).default_service(web::to(no_route)),
            );
        }
        app.wrap(middleware::from_fn(faults::middleware))
    })
    .workers(1)
    .disable_signals()
    .listen(listener);
    let server = match server {
        Ok(server) => server.run(),
        Err(error) => {
            let _ = ready.send(Err(error)); // the caller is gone: nobody to tell
            return;
        }
    };
    let letters = rt::spawn(smtp::run(Arc::clone(&world), letterbox));
    let deliveries = rt::spawn(webhooks::run(world));
    if ready.send(Ok(server.handle())).is_ok()
        && let Err(error) = server.await
    {
        tracing::error!(%error, "the sandbox's server failed");
    }
    deliveries.abort();
    letters.abort();
}

async fn no_route(req: HttpRequest, world: Data<World>) -> HttpResponse<BoxBody> {
    match faults::provider_of(&world, req.path()) {
        Some(provider) => HttpResponse::NotFound().json((provider.error)(404)),
        None => HttpResponse::NotFound().finish(),
    }
}

impl Sandbox {
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `http://127.0.0.1:port`; a provider's base address is this and its name (`…/propay`).
    pub fn url(&self) -> String {
        self.world.url.clone()
    }

    /// Takes mails in the clear: `smtp://127.0.0.1:port`.
    pub fn smtp_url(&self) -> String {
        format!("smtp://{}", self.smtp_addr)
    }

    /// Where webhooks go from now on, also those that wait.
    pub fn set_shop_url(&self, url: &str) {
        self.world.set_shop_url(url);
    }

    pub fn control(&self) -> &Control {
        &self.control
    }

    /// What checks OpenPix's `x-webhook-signature` here (PEM). The pair is made once in a process.
    pub fn openpix_public_key(&self) -> String {
        key::public_pem()
    }

    /// A fault for the next call of a provider: short for `control().next(…)`.
    pub fn next(&self, provider: &str, fault: Fault) {
        self.control.next(provider, fault);
    }

    /// Stops at once; open connections are cut. The port and the journal are free afterwards.
    pub async fn stop(mut self) {
        self.handle.stop(false).await;
        if let Some(ended) = self.ended.take() {
            let _ = ended.await; // an error means that the thread is gone already
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        drop(self.handle.stop(false)); // the order is sent by the call; only the wait is dropped
        self.world.write(|books| books.close_journal());
    }
}
