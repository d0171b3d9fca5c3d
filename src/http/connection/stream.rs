//! The socket as the dispatcher sees it.

use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

use super::door::Seat;
use super::turn::Turn;

/// The most that is read before what is in it is looked at. Of requests without a body, so many are in hand as fit into it.
pub const READ_AHEAD: usize = 4 * 1024;
/// Bytes that wait in the kernel without being under way. With it `HTTP_SEND_WAIT` notices a client that takes half of it.
#[cfg(any(target_os = "android", target_os = "linux"))]
const KERNEL_UNSENT: u32 = 32 * 1024;

/// How long a client may make no progress.
#[derive(Debug, Clone, Copy)]
pub struct Waits {
    /// In taking an answer.
    pub send: Duration,
    /// In sending the headers of a request: twice this at most.
    pub head: Duration,
}

/// A client's connection. It refuses to read while a request is in hand or an answer cannot be sent, and ends when the client takes
/// nothing for too long.
#[derive(Debug)]
pub struct Bounded {
    stream: TcpStream,
    turn: Rc<Turn>,
    waits: Waits,
    /// The last write found no room.
    is_blocked: bool,
    /// Bytes that were read since the dispatcher last stopped reading.
    ahead: usize,
    /// How many requests had begun when bytes last came; `None`: no byte yet.
    heard: Option<u64>,
    stalled: Timer,
    head: Timer,
    /// How many requests had begun when `head` was started.
    head_of: u64,
    _seat: Seat,
}

impl Bounded {
    pub fn new(stream: TcpStream, waits: Waits, seat: Seat) -> Self {
        set_options(&stream, waits.send);
        Self {
            stream,
            turn: Rc::default(),
            waits,
            is_blocked: false,
            ahead: 0,
            heard: None,
            stalled: Timer::default(),
            head: Timer::default(),
            head_of: 0,
            _seat: seat,
        }
    }

    pub fn turn(&self) -> &Rc<Turn> {
        &self.turn
    }

    /// Reads nothing, but notices that the client is gone.
    fn look_for_the_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead = 0;
        let mut byte = [0];
        match self.stream.poll_peek(cx, &mut ReadBuf::new(&mut byte)) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Ready(Ok(_)) | Poll::Pending => {
                self.turn.wait(cx.waker());
                Poll::Pending
            }
        }
    }

    /// Nothing more came. A request that has begun must not stay so for ever.
    fn wait_for_bytes(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ahead = 0;
        let begun = self.turn.begun();
        let is_incomplete = self.heard == Some(begun) && self.turn.is_idle();
        if !is_incomplete {
            return Poll::Pending; // the timer may run on: what it finds then counts
        }
        if !self.head.runs {
            self.head_of = begun;
        }
        if self.head.poll(cx, self.waits.head).is_ready() {
            if self.head_of == begun {
                return Poll::Ready(Err(self.give_up("headers")));
            }
            (self.head.runs, self.head_of) = (false, begun); // it was another request's
            let _ = self.head.poll(cx, self.waits.head);
        }
        Poll::Pending
    }

    /// Closes without a farewell, so that the kernel forgets what was not taken.
    fn give_up(&self, why: &'static str) -> io::Error {
        let _ = SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        metrics::counter!("vitrine_http_connections_closed_total", "why" => why).increment(1);
        io::ErrorKind::TimedOut.into()
    }
}

/// Answers go out at once. Where all that is unsent is the kernel's own (the end of an answer, a quiet event stream), the kernel gives a
/// client up that acknowledges nothing or has no room. Later than we do, because it tells the client nothing.
fn set_options(stream: &TcpStream, send_wait: Duration) {
    let _ = stream.set_nodelay(true);
    #[cfg(any(target_os = "android", target_os = "linux"))]
    {
        let socket = SockRef::from(stream);
        let _ = socket.set_tcp_notsent_lowat(KERNEL_UNSENT);
        let _ = socket.set_tcp_user_timeout(Some(2 * send_wait));
    }
    #[cfg(not(any(target_os = "android", target_os = "linux")))]
    let _ = send_wait;
}

impl AsyncRead for Bounded {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.is_blocked || !this.turn.may_read() {
            return this.look_for_the_end(cx);
        }
        let most = READ_AHEAD.saturating_sub(this.ahead).min(buf.remaining());
        if most == 0 {
            this.ahead = 0;
            cx.waker().wake_by_ref(); // there may be more: once the dispatcher has looked at what it has
            return Poll::Pending;
        }
        let mut part = ReadBuf::new(buf.initialize_unfilled_to(most));
        match Pin::new(&mut this.stream).poll_read(cx, &mut part) {
            Poll::Ready(Ok(())) => {
                let count = part.filled().len();
                buf.advance(count);
                this.ahead += count;
                if count > 0 {
                    this.heard = Some(this.turn.begun());
                }
                Poll::Ready(Ok(()))
            }
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => this.wait_for_bytes(cx),
        }
    }
}

impl AsyncWrite for Bounded {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        match Pin::new(&mut this.stream).poll_write(cx, buf) {
            Poll::Ready(done) => {
                if this.is_blocked {
                    this.is_blocked = false;
                    this.stalled.runs = false;
                    this.turn.wake();
                }
                Poll::Ready(done)
            }
            Poll::Pending => {
                this.is_blocked = true;
                match this.stalled.poll(cx, this.waits.send) {
                    Poll::Ready(()) => Poll::Ready(Err(this.give_up("unread"))),
                    Poll::Pending => Poll::Pending,
                }
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_shutdown(cx)
    }
}

/// A time-out that is made when it is first needed.
#[derive(Debug, Default)]
struct Timer {
    sleep: Option<Pin<Box<Sleep>>>,
    runs: bool,
}

impl Timer {
    /// Starts it unless it runs. Ready when it is over.
    fn poll(&mut self, cx: &mut Context<'_>, wait: Duration) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep(wait)));
        if !self.runs {
            sleep.as_mut().reset(Instant::now() + wait);
            self.runs = true;
        }
        sleep.as_mut().poll(cx)
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::super::door::Door;
    use super::*;

    const SOON: Duration = Duration::from_millis(50);
    const NEVER: Duration = Duration::from_secs(600);

    /// Both ends of a connection. Neither kernel keeps much.
    async fn connection(waits: Waits) -> (Bounded, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("listen");
        let client = TcpStream::connect(listener.local_addr().expect("address")).await.expect("connect");
        SockRef::from(&client).set_recv_buffer_size(4096).expect("option");
        let (stream, _) = listener.accept().await.expect("accept");
        SockRef::from(&stream).set_send_buffer_size(4096).expect("option");
        let seat = Arc::new(Door::unlimited()).enter(None).expect("a seat");
        (Bounded::new(stream, waits, seat), client)
    }

    /// One read, as the dispatcher does it; `None`: there is nothing now.
    async fn read(of: &mut Bounded) -> Option<io::Result<usize>> {
        let mut room = [0; 64 * 1024];
        poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut room);
            Poll::Ready(match Pin::new(&mut *of).poll_read(cx, &mut buf) {
                Poll::Ready(done) => Some(done.map(|()| buf.filled().len())),
                Poll::Pending => None,
            })
        })
        .await
    }

    /// Reads until there is something.
    async fn next_read(of: &mut Bounded) -> io::Result<usize> {
        let mut room = [0; 64 * 1024];
        of.read(&mut room).await
    }

    #[tokio::test]
    async fn only_so_much_is_read_before_it_is_looked_at() {
        let (mut server, mut client) = connection(Waits { send: NEVER, head: NEVER }).await;
        client.write_all(&[b'x'; 3 * READ_AHEAD]).await.expect("room in the kernel");
        let mut looks = 0;
        let mut all = 0;
        while all < 3 * READ_AHEAD {
            let mut one_look = next_read(&mut server).await.expect("bytes");
            while let Some(more) = read(&mut server).await {
                one_look += more.expect("bytes");
            }
            assert!(one_look <= READ_AHEAD, "{one_look}");
            all += one_look;
            looks += 1;
        }
        assert!(looks >= 3, "{looks}");
    }

    #[tokio::test]
    async fn nothing_is_read_while_a_request_is_in_hand_and_whoever_waited_is_woken_after_it() {
        let (mut server, mut client) = connection(Waits { send: NEVER, head: NEVER }).await;
        let request = server.turn().begin();
        client.write_all(b"more").await.expect("room in the kernel");
        let mut room = [0; 16];
        let waits = tokio::select! {
            biased;
            _ = server.read(&mut room) => false,
            _ = tokio::time::sleep(SOON) => true,
        };
        assert!(waits, "the bytes are there, and are not read");
        let turn = Rc::clone(server.turn());
        let (read, ()) = tokio::join!(next_read(&mut server), async {
            tokio::task::yield_now().await;
            assert!(!turn.may_read());
            drop(request);
        });
        assert_eq!(read.expect("bytes"), 4);
    }

    #[tokio::test]
    async fn a_client_that_leaves_is_noticed_while_its_request_is_in_hand() {
        let (mut server, client) = connection(Waits { send: NEVER, head: NEVER }).await;
        let _request = server.turn().begin();
        drop(client);
        assert_eq!(next_read(&mut server).await.expect("the end"), 0);
    }

    #[tokio::test]
    async fn nothing_is_read_while_an_answer_cannot_be_sent_and_then_it_goes_on() {
        let (mut server, mut client) = connection(Waits { send: NEVER, head: NEVER }).await;
        client.write_all(b"more").await.expect("room in the kernel");
        let mut sent = 0;
        while let Some(count) = poll_fn(|cx| {
            Poll::Ready(match Pin::new(&mut server).poll_write(cx, &[0; 8192]) {
                Poll::Ready(count) => Some(count.expect("open")),
                Poll::Pending => None,
            })
        })
        .await
        {
            sent += count;
        }
        assert!(read(&mut server).await.is_none());
        let mut taken = vec![0; sent];
        let (written, taken) = tokio::join!(server.write(b"x"), client.read_exact(&mut taken));
        assert_eq!((written.expect("room again"), taken.expect("all of it")), (1, sent));
        assert_eq!(next_read(&mut server).await.expect("bytes"), 4);
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_given_up_and_one_that_takes_something_is_not() {
        // With so small buffers the kernel itself waits for some 40 ms between two pieces.
        let (mut server, mut client) = connection(Waits { send: Duration::from_secs(1), head: NEVER }).await;
        let whole = vec![7; 64 * 1024];
        let (sent, ()) = tokio::join!(server.write_all(&whole), async {
            let mut taken = vec![0; whole.len()];
            client.read_exact(&mut taken).await.expect("all of it");
        });
        sent.expect("a client that reads");
        let given_up = server.write_all(&whole).await.expect_err("nobody reads");
        assert_eq!(given_up.kind(), io::ErrorKind::TimedOut);
    }

    #[tokio::test]
    async fn headers_that_do_not_end_are_given_up_on_every_request_of_a_connection() {
        let (mut server, mut client) = connection(Waits { send: NEVER, head: SOON }).await;
        client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.expect("room");
        assert!(next_read(&mut server).await.is_ok());
        assert!(read(&mut server).await.is_none());
        drop(server.turn().begin()); // it was answered
        let mut room = [0; 16];
        let idle = tokio::time::timeout(3 * SOON, server.read(&mut room)).await;
        assert!(idle.is_err(), "without a byte it is the keep-alive that ends it: {idle:?}");
        client.write_all(b"GET / H").await.expect("room");
        assert!(next_read(&mut server).await.is_ok());
        assert_eq!(next_read(&mut server).await.expect_err("no more comes").kind(), io::ErrorKind::TimedOut);
    }
}
