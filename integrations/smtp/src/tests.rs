use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use vitrine_kit::Email;
use vitrine_kit::breaker::State;

use super::*;

/// What the server does at a step instead of accepting.
#[derive(Debug, Clone, Copy)]
enum Does {
    Says(&'static str),
    HangsUp,
    KeepsSilent,
}

/// A small SMTP server that accepts everything but what `rules` name: `CONNECT`, a verb, or `.`.
struct Post {
    url: String,
    lines: Arc<Mutex<Vec<String>>>,
}

impl Post {
    async fn open(rules: &'static [(&'static str, Does)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("bound"));
        let lines = Arc::new(Mutex::new(Vec::new()));
        let received = Arc::clone(&lines);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                let _ = serve(socket, rules, &received).await; // the client's end of the connection ends this
            }
        });
        Self { url, lines }
    }

    fn received(&self) -> Vec<String> {
        self.lines.lock().expect("unpoisoned").clone()
    }

    fn smtp(&self) -> Smtp {
        smtp(&self.url)
    }
}

async fn serve(socket: TcpStream, rules: &[(&str, Does)], received: &Mutex<Vec<String>>) -> std::io::Result<()> {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut step = "CONNECT".to_owned();
    loop {
        let consent = match step.as_str() {
            "CONNECT" => "220 post",
            "EHLO" => "250-post\r\n250 AUTH PLAIN LOGIN",
            "AUTH" => "235 welcome",
            "DATA" => "354 go on",
            _ => "250 yes",
        };
        match rules.iter().find(|(at, _)| *at == step).map(|(_, does)| *does) {
            None => write.write_all(format!("{consent}\r\n").as_bytes()).await?,
            Some(Does::Says(words)) => write.write_all(format!("{words}\r\n").as_bytes()).await?,
            Some(Does::HangsUp) => return Ok(()),
            Some(Does::KeepsSilent) => {}
        }
        let is_mail = step == "DATA" && !rules.iter().any(|(at, _)| *at == "DATA");
        step = loop {
            let Some(line) = lines.next_line().await? else { return Ok(()) };
            received.lock().expect("unpoisoned").push(line.clone());
            match line.as_str() {
                "." => break line,
                _ if is_mail => {}
                _ => break line.split([' ', ':']).next().unwrap_or_default().to_owned(),
            }
        };
    }
}

fn smtp(url: &str) -> Smtp {
    let breaker = BreakerConfig { threshold: 1, ..BreakerConfig::default() };
    Smtp::new(SmtpConfig { url: url.into(), timeout: Duration::from_secs(2), breaker }).expect("a good address")
}

fn mail() -> OutgoingMail {
    OutgoingMail {
        idempotency_key: "order_paid/0192-ab".to_owned(),
        id: "0192-ab".to_owned(),
        from: "Loja da Ana & Cia. <no-reply@loja.com.br>".to_owned(),
        to: Email::parse("bia@example.com").expect("valid"),
        subject: "Confirmação do pedido".to_owned(),
        html: "<p>Olá, Bia!</p>".to_owned(),
        text: "Olá, Bia!\n.\nAté logo".to_owned(),
        kind: "order_paid".to_owned(),
    }
}

fn unavailable(reason: &str) -> ProviderError {
    super::unavailable(reason.to_owned()).error
}

fn unknown(reason: &str) -> ProviderError {
    ProviderError::Unknown { provider: NAME, reason: reason.to_owned() }
}

fn rejected(code: &str, message: &str) -> ProviderError {
    ProviderError::Rejected { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

fn not_accepted(code: &str, message: &str) -> ProviderError {
    ProviderError::NotAccepted { provider: NAME, code: code.to_owned(), message: message.to_owned() }
}

/// The same with a password.
async fn sent_with(password: &str, rules: &'static [(&'static str, Does)]) -> (Result<String, ProviderError>, State) {
    let post = Post::open(rules).await;
    let smtp = smtp(&post.url.replace("smtp://", &format!("smtp://{password}@")));
    (smtp.send(&mail()).await, smtp.breaker().state())
}

/// The result under these rules, and the breaker's state after it.
async fn sent(rules: &'static [(&'static str, Does)]) -> (Result<String, ProviderError>, State) {
    let post = Post::open(rules).await;
    let smtp = post.smtp();
    (smtp.send(&mail()).await, smtp.breaker().state())
}

#[tokio::test]
async fn a_mail_goes_out_with_both_its_parts_and_an_id_made_of_its_key() {
    let post = Post::open(&[]).await;
    let id = "order_paid.0192-ab@loja.com.br";
    assert_eq!(post.smtp().send(&mail()).await, Ok(id.to_owned()));
    let received = post.received();
    let has = |line: &str| received.iter().any(|received| received == line);
    for line in [
        "MAIL FROM:<no-reply@loja.com.br>",
        "RCPT TO:<bia@example.com>",
        "To: bia@example.com",
        "Message-ID: <order_paid.0192-ab@loja.com.br>",
        "Auto-Submitted: auto-generated",
        "X-Vitrine-Kind: order_paid",
        "QUIT",
    ] {
        assert!(has(line), "{line} in {received:#?}");
    }
    let at =
        |part: &str| received.iter().position(|line| line.contains(part)).unwrap_or_else(|| panic!("{part} in {received:#?}"));
    assert!(at("Date: ") < at("multipart/alternative"));
    assert!(at("text/plain") < at("text/html"), "readers show the last part they can");
    assert_eq!(received[at("From: ")], "From: =?utf-8?b?TG9qYSBkYSBBbmEgJiBDaWEu?= <no-reply@loja.com.br>");
    assert_eq!(received[at("Subject: ")], "Subject: =?utf-8?b?Q29uZmlybWHDp8Ojbw==?= do pedido");
    assert!(!received.iter().any(|line| line.starts_with("AUTH")), "nobody asked for a password");
}

#[tokio::test]
async fn a_password_is_shown_where_one_is_given() {
    let post = Post::open(&[]).await;
    let url = post.url.replace("smtp://", "smtp://ana:s%40cret@");
    assert!(smtp(&url).send(&mail()).await.is_ok());
    assert!(post.received().iter().any(|line| line == "AUTH PLAIN AGFuYQBzQGNyZXQ="), "{:#?}", post.received());
    let closed = Post::open(&[("AUTH", Does::Says("535 5.7.8 who are you"))]).await;
    let smtp = smtp(&closed.url.replace("smtp://", "smtp://ana:x@"));
    for _ in 0..2 {
        assert_eq!(smtp.send(&mail()).await, Err(not_accepted("535", "AUTH: 5.7.8 who are you")));
    }
    assert_eq!(
        (closed.received().iter().filter(|line| line.starts_with("AUTH")).count(), smtp.breaker().state()),
        (1, State::Open)
    );
    let anonymous = sent(&[("MAIL", Does::Says("530 5.7.0 authenticate first"))]).await;
    assert_eq!(anonymous, (Err(not_accepted("530", "MAIL: 5.7.0 authenticate first")), State::Open));
    let (later, state) = sent_with("ana:x", &[("AUTH", Does::Says("454 4.7.0 not now"))]).await;
    assert_eq!((later, state), (Err(unavailable("answered 454 to AUTH")), State::Closed));
}

#[tokio::test]
async fn no_name_or_subject_writes_a_header_of_its_own() {
    let post = Post::open(&[]).await;
    let evil = OutgoingMail {
        from: "Loja\r\nBcc: eve@evil.test <no-reply@loja.com.br>".to_owned(),
        subject: "Oi\r\nBcc: eve@evil.test\r\n\r\nnova".to_owned(),
        idempotency_key: "a/b>\r\nBcc: eve@evil.test".to_owned(),
        kind: "x\r\nBcc: eve@evil.test".to_owned(),
        ..mail()
    };
    assert!(post.smtp().send(&evil).await.is_ok());
    assert!(!post.received().iter().any(|line| line.starts_with("Bcc")), "{:#?}", post.received());
    let stray = OutgoingMail { from: "Loja <no-reply>".to_owned(), ..mail() };
    assert_eq!(post.smtp().send(&stray).await, Err(rejected("unsendable", "the sender cannot be written to a mail")));
}

#[tokio::test]
async fn a_lone_dot_in_the_words_does_not_end_the_mail() {
    let post = Post::open(&[]).await;
    assert!(post.smtp().send(&mail()).await.is_ok());
    assert_eq!(post.received().iter().filter(|line| *line == ".").count(), 1);
    assert_eq!(post.received().last().map(String::as_str), Some("QUIT"));
}

#[tokio::test]
async fn a_refusal_for_good_is_one_at_every_step() {
    let no = "550 5.1.1 no such user";
    let cases: [(&'static [(&'static str, Does)], &str); 4] = [
        (&[("MAIL", Does::Says("550 5.1.1 no such user"))], "MAIL"),
        (&[("RCPT", Does::Says("550 5.1.1 no such user"))], "RCPT"),
        (&[("DATA", Does::Says("550 5.1.1 no such user"))], "DATA"),
        (&[(".", Does::Says("550 5.1.1 no such user"))], "the mail"),
    ];
    for (rules, step) in cases {
        assert_eq!(sent(rules).await, (Err(rejected("550", &format!("{step}: {}", &no[4..]))), State::Closed));
    }
}

#[tokio::test]
async fn a_refusal_for_now_was_certainly_not_sent() {
    let later = sent(&[("RCPT", Does::Says("451 4.7.1 bia@example.com: come again"))]).await;
    assert_eq!(later, (Err(unavailable("answered 451 to RCPT")), State::Closed));
    let full = sent(&[(".", Does::Says("452 4.3.1 full"))]).await;
    assert_eq!(full, (Err(unavailable("answered 452 to the mail")), State::Closed));
    let closing = sent(&[("CONNECT", Does::Says("421 4.3.2 closing"))]).await;
    assert_eq!(closing, (Err(unavailable("answered 421 to the connection")), State::Open), "that speaks of the server");
}

#[tokio::test]
async fn what_is_lost_before_the_mail_was_not_sent_and_after_it_is_unknown() {
    let (before, state) = sent(&[("DATA", Does::HangsUp)]).await;
    assert!(matches!(before, Err(ProviderError::Unavailable { .. })), "{before:?}");
    assert_eq!(state, State::Open);
    let (after, state) = sent(&[(".", Does::HangsUp)]).await;
    assert!(matches!(after, Err(ProviderError::Unknown { .. })), "{after:?}");
    assert_eq!(state, State::Open);
    let garbage = sent(&[(".", Does::Says("what?"))]).await.0;
    assert!(matches!(garbage, Err(ProviderError::Unknown { .. })), "{garbage:?}");
}

#[tokio::test]
async fn silence_ends_in_time() {
    assert_eq!(sent(&[("RCPT", Does::KeepsSilent)]).await.0, Err(unavailable("no answer in time")));
    assert_eq!(sent(&[(".", Does::KeepsSilent)]).await.0, Err(unknown("no answer in time")));
}

#[tokio::test]
async fn a_server_that_is_away_is_left_alone() {
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a free port").local_addr().expect("bound").port();
    let smtp = smtp(&format!("smtp://127.0.0.1:{port}"));
    let away = smtp.send(&mail()).await;
    assert!(matches!(&away, Err(ProviderError::Unavailable { reason, .. }) if reason.contains("refused")), "{away:?}");
    let open = smtp.send(&mail()).await;
    assert!(matches!(open, Err(ProviderError::Unavailable { retry_after_s: Some(_), .. })), "{open:?}");
}

#[tokio::test]
async fn without_starttls_nothing_is_said_in_the_clear() {
    let post = Post::open(&[]).await;
    let outcome = smtp(&format!("{}?tls=required", post.url.replace("smtp://", "smtp://ana:hemlig@"))).send(&mail()).await;
    assert_eq!(outcome, Err(unavailable("it offers no STARTTLS, and nothing is sent in the clear")));
    assert!(!post.received().iter().any(|line| line.starts_with("AUTH") || line.starts_with("MAIL")), "{:#?}", post.received());
    let (outcome, tls) = (smtp(&post.url.replace("smtp://", "smtps://")).send(&mail()).await, "nobody there speaks it");
    assert!(matches!(outcome, Err(ProviderError::Unavailable { .. })), "{tls}: {outcome:?}");
}
