//! Opens connections, with bounds on everything that could be silent.

use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use deadpool_postgres::Connect;
use rand::seq::SliceRandom;
use secrecy::ExposeSecret;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::task::JoinHandle;
use tokio_postgres::config::{Host, LoadBalanceHosts, SslMode, TargetSessionAttrs};
use tokio_postgres::tls::{MakeTlsConnect, TlsConnect};
use tokio_postgres::{Client, Config, Connection, Error as PgError, SimpleQueryMessage};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::WORDS_ALIKE;
use super::line::{Line, Patience};
use super::wire::{Link, Wire};
use crate::config::DatabaseConfig;
use crate::error::{Chain, Error, Result};

/// How long the other side's TCP may take to acknowledge what was sent, before the kernel gives the connection up. These bounds hold for
/// the database's side as well: sessions whose client is gone would use up its `max_connections`.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
/// The kernel asks an idle connection after this time, then so often again, before it gives it up.
const KEEPALIVE: (Duration, Duration, u32) = (Duration::from_secs(15), Duration::from_secs(5), 2);
/// What tokio-postgres has where nobody said otherwise.
const THEIR_IDLE: Duration = Duration::from_secs(2 * 60 * 60);

type Encrypted = <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream;
pub(super) type Session = (Client, Connection<Wire<Socket>, Wire<Encrypted>>);

/// How to connect. The connections belong to a line, which watches them.
#[derive(Clone)]
pub(super) struct Door {
    pg: Config,
    tls: Tls,
    line: Arc<Line>,
    /// For so long nothing may come while an answer is owed.
    most: Duration,
}

impl Door {
    /// With a line of its own.
    pub(super) fn new(config: &DatabaseConfig, patience: Patience) -> Result<Self> {
        Self::on(Line::new(config), config, patience)
    }

    pub(super) fn on(line: Arc<Line>, config: &DatabaseConfig, patience: Patience) -> Result<Self> {
        let mut pg = pg_config(config, patience)?;
        let is_plain = pg.get_ssl_mode() == SslMode::Disable || is_local(&pg);
        if is_plain {
            pg.ssl_mode(SslMode::Disable);
        }
        let tls = if is_plain { Tls(None) } else { Tls(Some(tls()?)) };
        Ok(Self { pg, tls, line, most: patience.statement(config).saturating_add(config.answer_wait) })
    }

    pub(super) fn pg(&self) -> &Config {
        &self.pg
    }

    pub(super) fn line(&self) -> &Arc<Line> {
        &self.line
    }

    /// The first host that lets us in, in the address' order or in any, as the address says.
    pub(super) async fn open(&self) -> Result<(Session, Arc<Link>), PgError> {
        let mut hosts: Vec<usize> = (0..self.pg.get_hosts().len().max(self.pg.get_hostaddrs().len())).collect();
        if self.pg.get_load_balance_hosts() == LoadBalanceHosts::Random {
            hosts.shuffle(&mut rand::rng());
        }
        let mut outcome = self.session("", Err(io::Error::other("DATABASE_URL names no host"))).await;
        for host in hosts {
            let name = match self.pg.get_hosts().get(host) {
                Some(Host::Tcp(name)) => name.as_str(),
                _ => "",
            };
            let places = match self.places(host).await {
                Ok(places) => places.into_iter().map(Ok).collect(),
                Err(error) => vec![Err(error)],
            };
            for place in places {
                let stream = match place {
                    Ok(place) => self.socket(&place).await,
                    Err(error) => Err(error),
                };
                outcome = self.session(name, stream).await;
                if outcome.is_ok() {
                    return outcome;
                }
            }
        }
        outcome
    }

    async fn places(&self, host: usize) -> io::Result<Vec<Place>> {
        let ports = self.pg.get_ports();
        let port = ports.get(host).or(ports.first()).copied().unwrap_or(5432);
        match (self.pg.get_hostaddrs().get(host), self.pg.get_hosts().get(host)) {
            (Some(address), _) => Ok(vec![Place::Tcp((*address, port).into())]),
            (None, Some(Host::Unix(folder))) => Ok(vec![Place::Unix(folder.join(format!(".s.PGSQL.{port}")))]),
            (None, Some(Host::Tcp(name))) => {
                let mut found: Vec<Place> = tokio::net::lookup_host((name.as_str(), port)).await?.map(Place::Tcp).collect();
                if self.pg.get_load_balance_hosts() == LoadBalanceHosts::Random {
                    found.shuffle(&mut rand::rng());
                }
                Ok(found)
            }
            (None, None) => Ok(Vec::new()),
        }
    }

    async fn socket(&self, place: &Place) -> io::Result<Socket> {
        let connect = async {
            match place {
                Place::Unix(path) => Ok(Socket::Unix(UnixStream::connect(path).await?)),
                Place::Tcp(address) => {
                    let stream = TcpStream::connect(address).await?;
                    stream.set_nodelay(true)?;
                    self.bound(&stream)?;
                    Ok(Socket::Tcp(stream))
                }
            }
        };
        match self.pg.get_connect_timeout() {
            Some(most) => tokio::time::timeout(*most, connect).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())),
            None => connect.await,
        }
    }

    /// The kernel's own bounds. They find a machine or a network that is gone, also where nothing is sent.
    fn bound(&self, stream: &TcpStream) -> io::Result<()> {
        let socket = socket2::SockRef::from(stream);
        if self.pg.get_keepalives() {
            let keepalive = socket2::TcpKeepalive::new().with_time(self.pg.get_keepalives_idle());
            let keepalive = self.pg.get_keepalives_interval().into_iter().fold(keepalive, |k, every| k.with_interval(every));
            let keepalive = self.pg.get_keepalives_retries().into_iter().fold(keepalive, |k, times| k.with_retries(times));
            socket.set_tcp_keepalive(&keepalive)?;
        }
        #[cfg(target_os = "linux")]
        socket.set_tcp_user_timeout(self.pg.get_tcp_user_timeout().copied())?;
        Ok(())
    }

    /// A session on a socket. Without a socket: the driver's error, which says why there is none.
    async fn session(&self, host: &str, stream: io::Result<Socket>) -> Result<(Session, Arc<Link>), PgError> {
        let stream = stream.unwrap_or_else(|why| Socket::Unreachable(Some(why)));
        let link = self.line.link(self.most);
        let tls = Tls::for_host(&self.tls, host);
        let (client, mut connection) = self.pg.connect_raw(Wire::new(stream, Arc::clone(&link)), tls).await?;
        let wanted = self.pg.get_target_session_attrs();
        if wanted != TargetSessionAttrs::Any {
            let answer = tokio::select! {
                answer = client.simple_query("SHOW transaction_read_only") => answer?,
                ended = &mut connection => return match ended {
                    Err(why) => Err(why),
                    Ok(()) => Box::pin(self.session(host, Err(io::ErrorKind::ConnectionAborted.into()))).await,
                },
            };
            let is_read_only = answer.iter().any(|m| matches!(m, SimpleQueryMessage::Row(row) if row.get(0) == Some("on")));
            if is_read_only != (wanted == TargetSessionAttrs::ReadOnly) {
                let why = if is_read_only { "the database allows no writes" } else { "the database is not read-only" };
                return Box::pin(self.session(host, Err(io::Error::new(io::ErrorKind::PermissionDenied, why)))).await;
            }
        }
        Ok(((client, connection), link))
    }

    /// A session and the task that carries it, which the line may end.
    pub(super) async fn enter(&self) -> Result<(Client, JoinHandle<()>), PgError> {
        self.enter_seen().await.map(|(client, task, _)| (client, task))
    }

    /// The same, with what is known about it.
    pub(super) async fn enter_seen(&self) -> Result<(Client, JoinHandle<()>, Arc<Link>), PgError> {
        let ((client, connection), link) = self.open().await?;
        let task = tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::warn!(error = %Chain(&error), "a connection to the database broke");
            }
        });
        link.is_carried_by(task.abort_handle());
        Ok((client, task, link))
    }
}

impl Connect for Door {
    fn connect(&self, _: &Config) -> Pin<Box<dyn Future<Output = Result<(Client, JoinHandle<()>), PgError>> + Send + '_>> {
        Box::pin(self.enter())
    }
}

fn pg_config(config: &DatabaseConfig, patience: Patience) -> Result<Config> {
    let mut pg = Config::from_str(config.url.expose_secret())
        .map_err(|_| Error::Internal("DATABASE_URL is not a PostgreSQL address".into()))?;
    pg.application_name("vitrine");
    pg.connect_timeout(config.pool_wait);
    if pg.get_tcp_user_timeout().is_none() {
        pg.tcp_user_timeout(UNACKNOWLEDGED);
    }
    if pg.get_keepalives_idle() == THEIR_IDLE {
        pg.keepalives_idle(KEEPALIVE.0).keepalives_interval(KEEPALIVE.1).keepalives_retries(KEEPALIVE.2);
    }
    pg.options(format!(
        "-c statement_timeout={} -c idle_in_transaction_session_timeout={} -c tcp_user_timeout={} -c tcp_keepalives_idle={} \
         -c tcp_keepalives_interval={} -c tcp_keepalives_count={} -c timezone=UTC -c pg_trgm.word_similarity_threshold={WORDS_ALIKE}",
        patience.statement(config).as_millis(),
        patience.idle().as_millis(),
        UNACKNOWLEDGED.as_millis(),
        KEEPALIVE.0.as_secs(),
        KEEPALIVE.1.as_secs(),
        KEEPALIVE.2,
    ));
    Ok(pg)
}

fn is_local(pg: &Config) -> bool {
    pg.get_ssl_mode() != SslMode::Require
        && pg.get_hosts().iter().all(|host| match host {
            Host::Tcp(name) => matches!(name.as_str(), "localhost" | "127.0.0.1" | "::1"),
            #[cfg(unix)]
            Host::Unix(_) => true,
        })
}

/// TLS with the system's trust store, for a database on another machine.
fn tls() -> Result<MakeRustlsConnect> {
    let (connector, broken) = MakeRustlsConnect::with_native_certs()
        .map_err(|_| Error::Internal("this machine trusts no certificates: install ca-certificates".into()))?;
    if !broken.is_empty() {
        tracing::warn!(count = broken.len(), "some of the system's certificates could not be read");
    }
    Ok(connector)
}

enum Place {
    Tcp(std::net::SocketAddr),
    Unix(PathBuf),
}

/// `None`: without TLS.
#[derive(Clone)]
struct Tls(Option<MakeRustlsConnect>);

impl Tls {
    fn for_host(&self, host: &str) -> TlsToHost {
        TlsToHost { tls: self.0.clone(), host: host.to_owned() }
    }
}

struct TlsToHost {
    tls: Option<MakeRustlsConnect>,
    host: String,
}

impl TlsConnect<Wire<Socket>> for TlsToHost {
    type Stream = Wire<Encrypted>;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Wire<Encrypted>>> + Send>>;

    /// The messages are seen inside of TLS from here on.
    fn connect(self, wire: Wire<Socket>) -> Self::Future {
        Box::pin(async move {
            let (stream, link) = wire.into_parts();
            let mut tls = self.tls.ok_or_else(|| io::Error::other("this connection has no TLS"))?;
            let connector = MakeTlsConnect::<Socket>::make_tls_connect(&mut tls, &self.host).map_err(io::Error::other)?;
            Ok(Wire::new(connector.connect(stream).await?, link))
        })
    }
}

pub(super) enum Socket {
    Tcp(TcpStream),
    Unix(UnixStream),
    /// There is none, and why. Only the driver can make its errors: it makes one of the first write.
    Unreachable(Option<io::Error>),
}

fn unreachable(why: &mut Option<io::Error>) -> io::Error {
    why.take().unwrap_or_else(|| io::ErrorKind::NotConnected.into())
}

impl AsyncRead for Socket {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
            Self::Unreachable(why) => Poll::Ready(Err(unreachable(why))),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, buf),
            Self::Unreachable(why) => Poll::Ready(Err(unreachable(why))),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
            Self::Unreachable(_) => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Tcp(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Unreachable(_) => Poll::Ready(Ok(())),
        }
    }
}
