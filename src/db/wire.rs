//! What a connection's own bytes say about it: whether the server owes an answer, and since when nothing came.
//!
//! Every request ends in a `Query` or a `Sync` message, and every answer in a `ReadyForQuery`, so counting these three is enough.
//! It holds for pipelined statements, for COMMIT, and for statements whose caller is gone.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::AbortHandle;
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The codes in the messages by which a client asks for TLS, and in the first bytes of an error about a stale statement.
const SSL_REQUEST: [u8; 4] = 80_877_103_u32.to_be_bytes();
const STALE_STATEMENT: &[u8] = b"\0C0A000\0";

/// What is known about one connection.
#[derive(Debug)]
pub(super) struct Link {
    /// Set when a statement met another schema than it was prepared for.
    is_stale: Arc<AtomicBool>,
    /// For so long nothing may come while an answer is owed.
    most: Duration,
    state: Mutex<State>,
    task: OnceLock<AbortHandle>,
}

#[derive(Debug, Clone, Copy)]
struct State {
    /// The session is open: the first `ReadyForQuery` has come.
    is_open: bool,
    /// Requests without a complete answer.
    owed: u32,
    /// Part of a request was written, and its end was not.
    is_sending: bool,
    is_in_transaction: bool,
    /// A statement met another schema than it was prepared for: the connection ends with its transaction.
    is_stale: bool,
    /// The last byte that came.
    heard: Instant,
    /// The last byte that came, or the request that was sent after it.
    quiet_since: Instant,
}

impl State {
    fn is_waiting(&self) -> bool {
        self.is_open && (self.owed > 0 || self.is_sending)
    }
}

impl Link {
    pub(super) fn new(is_stale: Arc<AtomicBool>, most: Duration) -> Self {
        let now = Instant::now();
        let state = State {
            is_open: false,
            owed: 0,
            is_sending: false,
            is_in_transaction: false,
            is_stale: false,
            heard: now,
            quiet_since: now,
        };
        Self { is_stale, most, state: Mutex::new(state), task: OnceLock::new() }
    }

    /// The task that carries the connection: ending it ends every call on it.
    pub(super) fn is_carried_by(&self, task: AbortHandle) {
        let _ = self.task.set(task);
    }

    /// The last byte that came.
    pub(super) fn heard(&self) -> Instant {
        self.state().heard
    }

    /// For so long nothing has come while an answer is owed. `None`: nothing is owed.
    pub(super) fn quiet(&self) -> Option<Duration> {
        let state = self.state();
        state.is_waiting().then(|| state.quiet_since.elapsed())
    }

    /// Nothing is owed, and no transaction is open: nobody would miss it.
    pub(super) fn is_idle(&self) -> bool {
        let state = self.state();
        state.is_open && !state.is_waiting() && !state.is_in_transaction
    }

    /// Nothing has come since then, and an answer should have.
    pub(super) fn overdue_since(&self) -> Option<Instant> {
        let state = self.state();
        (state.is_waiting() && state.quiet_since.elapsed() > self.most).then_some(state.quiet_since)
    }

    /// Whoever waits for an answer gets an error now, and the pool does not hand the connection out again. `false`: it is closed
    /// already, or is only being opened.
    pub(super) fn close(&self) -> bool {
        let Some(task) = self.task.get().filter(|task| !task.is_finished()) else { return false };
        task.abort();
        true
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wrote(&self, requests: u32, is_sending: bool) {
        let mut state = self.state();
        if !state.is_waiting() {
            state.quiet_since = Instant::now();
        }
        if state.is_open {
            state.owed += requests;
            state.is_sending = is_sending;
        }
    }

    fn read(&self, seen: &Seen) {
        let mut state = self.state();
        (state.heard, state.quiet_since) = (Instant::now(), Instant::now());
        if let Some(status) = seen.status {
            state.is_in_transaction = status != b'I';
        }
        state.owed = state.owed.saturating_sub(seen.answers);
        state.is_open |= seen.answers > 0;
        if seen.is_stale && !state.is_stale {
            state.is_stale = true;
            self.is_stale.store(true, Ordering::Relaxed);
        }
    }

    /// It is stale, and whoever used it has every answer.
    fn is_over(&self) -> bool {
        let state = self.state();
        state.is_stale && !state.is_waiting() && !state.is_in_transaction
    }
}

/// What a piece of the server's bytes holds.
#[derive(Debug, Default)]
struct Seen {
    answers: u32,
    /// Of the last answer: `I` outside of a transaction.
    status: Option<u8>,
    is_stale: bool,
}

/// Finds the messages in bytes that come in pieces of any size: a type, a length that counts itself, the rest.
#[derive(Debug)]
struct Messages {
    head: [u8; 5],
    filled: usize,
    left: usize,
    /// The start of the rest.
    body: Vec<u8>,
}

impl Messages {
    const KEPT: usize = 128;

    /// A client's first message has no type.
    fn of_client() -> Self {
        Self { filled: 1, ..Self::of_server() }
    }

    fn of_server() -> Self {
        Self { head: [0; 5], filled: 0, left: 0, body: Vec::with_capacity(Self::KEPT) }
    }

    fn feed(&mut self, mut bytes: &[u8], mut each: impl FnMut(u8, &[u8])) {
        while !bytes.is_empty() {
            let head = (5 - self.filled).min(bytes.len());
            self.head[self.filled..self.filled + head].copy_from_slice(&bytes[..head]);
            self.filled += head;
            bytes = &bytes[head..];
            if self.filled < 5 {
                return;
            }
            if head > 0 {
                let [_, length @ ..] = self.head;
                self.left = (u32::from_be_bytes(length) as usize).saturating_sub(4);
                self.body.clear();
            }
            let here = self.left.min(bytes.len());
            let kept = here.min(Self::KEPT - self.body.len());
            self.body.extend_from_slice(&bytes[..kept]);
            self.left -= here;
            bytes = &bytes[here..];
            if self.left == 0 {
                self.filled = 0;
                each(self.head[0], &self.body);
            }
        }
    }

    fn is_between_messages(&self) -> bool {
        self.filled == 0
    }
}

/// A stream that tells its link what passes. Inside of TLS, so that it sees messages.
#[derive(Debug)]
pub(super) struct Wire<S> {
    stream: S,
    link: Arc<Link>,
    sent: Messages,
    came: Messages,
    /// The next byte answers a request for TLS and is no message.
    awaits_tls: bool,
}

impl<S> Wire<S> {
    pub(super) fn new(stream: S, link: Arc<Link>) -> Self {
        Self { stream, link, sent: Messages::of_client(), came: Messages::of_server(), awaits_tls: false }
    }

    /// For TLS, which stands between the two.
    pub(super) fn into_parts(self) -> (S, Arc<Link>) {
        (self.stream, self.link)
    }

    fn note_sent(&mut self, bytes: &[u8]) {
        let (mut requests, mut is_sending, mut awaits_tls) = (0, true, false);
        self.sent.feed(bytes, |kind, body| {
            is_sending = !matches!(kind, b'Q' | b'S');
            requests += u32::from(!is_sending);
            awaits_tls = kind == 0 && body == SSL_REQUEST;
        });
        if awaits_tls {
            (self.sent, self.awaits_tls) = (Messages::of_client(), true);
        }
        self.link.wrote(requests, is_sending || !self.sent.is_between_messages());
    }

    fn note_came(&mut self, mut bytes: &[u8]) {
        if self.awaits_tls && !bytes.is_empty() {
            (self.awaits_tls, bytes) = (false, &bytes[1..]);
        }
        let mut seen = Seen::default();
        self.came.feed(bytes, |kind, body| match kind {
            b'Z' => (seen.answers, seen.status) = (seen.answers + 1, body.first().copied()),
            b'E' => seen.is_stale |= body.windows(STALE_STATEMENT.len()).any(|part| part == STALE_STATEMENT),
            _ => {}
        });
        self.link.read(&seen);
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.link.is_over() {
            return Poll::Ready(Err(io::Error::other("the schema changed under this connection's statements")));
        }
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        if buf.filled().len() > before {
            this.note_came(&buf.filled()[before..]);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let count = ready!(Pin::new(&mut this.stream).poll_write(cx, buf))?;
        this.note_sent(&buf[..count]);
        Poll::Ready(Ok(count))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

impl<S: TlsStream + Unpin> TlsStream for Wire<S> {
    fn channel_binding(&self) -> ChannelBinding {
        self.stream.channel_binding()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(kind: &[u8], body: &[u8]) -> Vec<u8> {
        [kind, &u32::try_from(body.len() + 4).unwrap_or(0).to_be_bytes(), body].concat()
    }

    fn wire() -> Wire<()> {
        Wire::new((), Arc::new(Link::new(Arc::default(), Duration::ZERO)))
    }

    /// The server's side of a start: its last message is the first answer.
    fn open(pieces_of: usize) -> Wire<()> {
        let mut wire = wire();
        for piece in message(b"", b"\0\x03\0\0user\0vitrine\0\0").chunks(pieces_of) {
            wire.note_sent(piece);
        }
        let hello = [message(b"R", &[0, 0, 0, 0]), message(b"S", b"TimeZone\0UTC\0"), message(b"Z", b"I")].concat();
        for piece in hello.chunks(pieces_of) {
            wire.note_came(piece);
        }
        wire
    }

    #[test]
    fn an_answer_is_owed_from_a_request_to_its_end_in_pieces_of_any_size() {
        let asked =
            [message(b"P", b"s1\0SELECT 1\0\0\0"), message(b"B", &[0; 300]), message(b"E", &[0; 5]), message(b"S", b"")].concat();
        let answer = [message(b"1", b""), message(b"D", &[7; 1000]), message(b"Z", b"T")].concat();
        for size in 1..asked.len() {
            let mut wire = open(size);
            assert_eq!(wire.link.quiet(), None);
            for piece in asked.chunks(size) {
                wire.note_sent(piece);
                assert!(wire.link.quiet().is_some(), "a request that is not sent to its end waits as well");
            }
            wire.note_sent(&message(b"Q", b"COMMIT\0"));
            assert_eq!(wire.link.state().owed, 2);
            answer.chunks(size).for_each(|piece| wire.note_came(piece));
            assert!(wire.link.quiet().is_some(), "the second one is still owed");
            message(b"Z", b"I").chunks(size).for_each(|piece| wire.note_came(piece));
            assert_eq!(wire.link.quiet(), None);
        }
    }

    #[test]
    fn the_answer_to_a_request_for_tls_is_no_message() {
        let mut wire = wire();
        wire.note_sent(&message(b"", &SSL_REQUEST));
        wire.note_came(b"N");
        wire.note_sent(&message(b"", b"\0\x03\0\0user\0vitrine\0\0"));
        wire.note_came(&message(b"Z", b"I"));
        wire.note_sent(&message(b"Q", b"SELECT 1\0"));
        assert_eq!(wire.link.state().owed, 1);
    }

    #[test]
    fn a_stale_connection_is_over_with_its_transaction() {
        let mut wire = open(64);
        wire.note_sent(&message(b"S", b""));
        wire.note_came(&message(b"E", b"SERROR\0VERROR\0C23505\0Mduplicate\0\0"));
        wire.note_came(&message(b"Z", b"E"));
        assert!(!wire.link.is_stale.load(Ordering::Relaxed));
        wire.note_sent(&message(b"S", b""));
        let stale = message(b"E", b"SERROR\0VERROR\0C0A000\0Mcached plan must not change result type\0\0");
        stale.chunks(9).for_each(|piece| wire.note_came(piece));
        assert!(wire.link.is_stale.load(Ordering::Relaxed) && !wire.link.is_over());
        wire.note_came(&message(b"Z", b"E"));
        assert!(!wire.link.is_over(), "its transaction must be rolled back first");
        wire.note_sent(&message(b"Q", b"ROLLBACK\0"));
        wire.note_came(&message(b"Z", b"I"));
        assert!(wire.link.is_over());
    }
}
