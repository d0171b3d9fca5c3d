//! What goes wrong is told without the data that it went wrong with.

use std::io::Write;
use std::sync::{Arc, Mutex};

use actix_web::ResponseError;
use tracing_subscriber::fmt::MakeWriter;
use vitrine::error::{Chain, Error};

use crate::shop::Shop;

/// What was logged in this thread while the guard lived.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn listen(&self) -> tracing::subscriber::DefaultGuard {
        let subscriber = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer(self.clone()).finish();
        tracing::subscriber::set_default(subscriber)
    }

    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

const PRIVATE: [&str; 3] = ["canario", "Canario", "11987651234"];

fn assert_silent(what: &str, text: &str) {
    for word in PRIVATE {
        assert!(!text.contains(word), "{word} in {what}: {text}");
    }
}

#[actix_web::test]
async fn a_broken_constraint_is_told_by_its_name_and_not_by_the_row_that_broke_it() {
    let shop = Shop::open().await;
    let db = shop.app.db().await.unwrap();
    const PERSON: &str = "INSERT INTO users (id, name, email, phone) VALUES (gen_random_uuid(), 'Canario Nome', 'canario@example.com', '11987651234')";
    db.batch_execute("ALTER TABLE users ADD CONSTRAINT no_kings CHECK (name <> 'King')").await.unwrap();
    db.execute(PERSON, &[]).await.unwrap();
    let log = Log::default();
    let _listening = log.listen();
    for (statement, named) in [
        (
            PERSON,
            "ERROR 23505: duplicate key value violates unique constraint \"users_email_key\" (table users, constraint users_email_key)",
        ),
        (
            "UPDATE users SET name = 'King'",
            "ERROR 23514: new row for relation \"users\" violates check constraint \"no_kings\" (table users, constraint no_kings)",
        ),
        (
            "UPDATE users SET name = NULL",
            "ERROR 23502: null value in column \"name\" of relation \"users\" violates not-null constraint (table users, column name)",
        ),
        ("SELECT name::bigint FROM users", "ERROR 22P02: invalid input syntax for type bigint:"),
    ] {
        let raw = db.execute(statement, &[]).await.unwrap_err();
        let told = Chain(&raw).to_string();
        assert!(told.ends_with(named), "{told}");
        let error = Error::from(raw);
        assert_eq!(Chain(&error).to_string(), told);
        let answer = error.error_response(); // what the boundary does: it logs the cause and tells the reader nothing
        assert_eq!(answer.status(), 500);
        assert_silent("the answer", &serde_json::to_string(&error.body()).unwrap());
        assert_silent("the error's own words", &format!("{told} {error}"));
    }
    assert!(log.text().contains("users_email_key") && log.text().contains("22P02"), "{}", log.text());
    assert_silent("the log", &log.text());
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn neither_a_job_that_fails_nor_the_operators_mail_of_it_names_the_person() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    // What a bug would do: the row that a mail's job writes breaks a rule.
    shop.execute("ALTER TABLE messages ADD CONSTRAINT no_canaries CHECK (recipient NOT LIKE 'canario%')").await;
    let cart = shop.guest_cart(&[(&shirt, 1)]).await;
    let mut order = shop.guest_order(&[(&shirt, 1)], crate::shop::CPF).await;
    order["email"] = "canario@example.com".into();
    order["name"] = "Canario Nome".into();
    order["phone"] = "(11) 98765-1234".into();
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    shop.execute("UPDATE jobs SET max_attempts = 1 WHERE kind = 'mail_order_placed'").await;

    let log = Log::default();
    let listening = log.listen();
    shop.drain().await;
    shop.mail_alerts().await;
    drop(listening);
    let dead: String = shop.sql("SELECT last_error FROM jobs WHERE kind = 'mail_order_placed' AND state = 'dead'").await;
    assert!(dead.contains("23514") && dead.contains("no_canaries"), "{dead}");
    assert_silent("the job", &dead);
    assert_silent("all jobs", &shop.sql::<String>("SELECT string_agg(j::text, ' ') FROM jobs j").await);
    let alerts = shop.control().mails_to("operador@loja.test");
    assert_eq!(alerts.len(), 1);
    let mail = format!("{:?}", alerts[0]);
    assert!(mail.contains("no_canaries"), "{mail}");
    assert_silent("the operator's mail", &mail);
    assert!(log.text().contains("no_canaries"), "{}", log.text());
    assert_silent("the log", &log.text());
    shop.close().await;
}
