use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use vitrine_sandbox::{Fault, Sandbox};

use crate::harness::sandbox;

/// Somebody who speaks SMTP by hand.
struct Hand {
    lines: Lines<BufReader<OwnedReadHalf>>,
    write: OwnedWriteHalf,
}

impl Hand {
    async fn reach(sandbox: &Sandbox) -> Self {
        let url = sandbox.smtp_url();
        let socket = TcpStream::connect(url.strip_prefix("smtp://").expect("smtp")).await.expect("it listens");
        let (read, write) = socket.into_split();
        let mut hand = Self { lines: BufReader::new(read).lines(), write };
        assert!(hand.hear().await.starts_with("220 "));
        hand
    }

    /// The last line of an answer; empty: they hung up.
    async fn hear(&mut self) -> String {
        loop {
            match self.lines.next_line().await.expect("text") {
                Some(line) if line.as_bytes().get(3) == Some(&b'-') => {}
                line => return line.unwrap_or_default(),
            }
        }
    }

    async fn say(&mut self, line: &str) -> String {
        self.write.write_all(format!("{line}\r\n").as_bytes()).await.expect("it listens");
        self.hear().await
    }

    async fn mail(&mut self, to: &str) -> String {
        for line in ["EHLO here", "MAIL FROM:<oi@loja.test>", &format!("RCPT TO:<{to}>"), "DATA"] {
            let answer = self.say(line).await;
            assert!(answer.starts_with(['2', '3']), "{line}: {answer}");
        }
        self.say("From: Loja <oi@loja.test>\r\nSubject: =?utf-8?b?T2zDoQ==?=\r\nMessage-ID: <a.1@loja.test>\r\nX-Vitrine-Kind: welcome\r\n\r\nOi\r\n..\r\n.").await
    }
}

#[actix_web::test]
async fn a_mail_that_is_handed_in_lies_in_the_mailbox() {
    let client = sandbox().await;
    let mut hand = Hand::reach(&client.sandbox).await;
    assert_eq!(hand.mail("Ana@example.com").await, "250 2.0.0 kept");
    assert!(hand.say("QUIT").await.starts_with("221 "));
    let mails = client.sandbox.control().mails_to("ana@example.com");
    let mail = &mails[0];
    assert_eq!((mail.provider.as_str(), mail.subject.as_str(), mail.from.as_str()), ("smtp", "Olá", "Loja <oi@loja.test>"));
    assert_eq!((mail.idempotency_key.as_deref(), mail.text.as_deref()), (Some("a.1@loja.test"), Some("Oi\n.\n")));
    assert_eq!(mail.tags, [("kind".to_owned(), "welcome".to_owned())]);
    assert_eq!(client.sandbox.control().calls("smtp"), 1);
}

#[actix_web::test]
async fn it_refuses_by_address_and_out_of_turn() {
    let client = sandbox().await;
    let mut hand = Hand::reach(&client.sandbox).await;
    assert!(hand.say("RCPT TO:<ana@example.com>").await.starts_with("503 "));
    assert!(hand.say("MAIL FROM:<oi@loja.test>").await.starts_with("250 "));
    assert!(hand.say("RCPT TO:<bounced@example.com>").await.starts_with("550 5.1.1"));
    assert!(hand.say("RCPT TO:<full@example.com>").await.starts_with("452 "));
    assert!(hand.say("DATA").await.starts_with("503 "));
    assert_eq!(client.sandbox.control().mails(), []);
}

#[actix_web::test]
async fn faults_strike_where_the_mail_ends() {
    let client = sandbox().await;
    for (fault, answer, kept) in [
        (Fault::Status(503), "451 ordered by the sandbox's control", 0),
        (Fault::Status(550), "550 ordered by the sandbox's control", 0),
        (Fault::DropBeforeRequest, "", 0),
        (Fault::DropAfterRequest, "", 1),
        (Fault::StatusAfterRequest(500), "", 2),
        (Fault::Garbage, "\u{1f4a5}", 3),
    ] {
        client.sandbox.next("smtp", fault);
        assert_eq!(Hand::reach(&client.sandbox).await.mail("ana@example.com").await, answer, "{fault:?}");
        assert_eq!(client.sandbox.control().mails().len(), kept, "{fault:?}");
    }
}
