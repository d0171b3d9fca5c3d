//! Mails that go by one call: each arrives once, after crashes, lost answers, refusals and erasures too.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use vitrine::ids::{ResetId, UserId};
use vitrine::jobs::{self, Job};
use vitrine::mail::batch;
use vitrine_sandbox::{Fault, Mail};

use crate::shop::Shop;

const LIMIT: Duration = Duration::from_secs(20);
/// Longer than the first waits between tries.
const SOON: SignedDuration = SignedDuration::from_mins(2);
/// One call of the client: it tries three times at a server that fails.
const ONE_CALL: u32 = 3;
const OPERATOR: &str = "operador@loja.test";

/// Mails that wait to go together, to pessoa1@example.com and so on, and their job.
async fn waiting(shop: &Shop, numbers: std::ops::RangeInclusive<u32>, kind: &str, rank: i16) {
    let (first, last) = (numbers.start(), numbers.end());
    shop.execute(&format!(
        "INSERT INTO messages (id, event, kind, channel, recipient, subject, html, body, provider, batch_rank)
         SELECT ('019a0000-0000-7000-8000-' || lpad(n::text, 12, '0'))::uuid, '{kind}:' || gen_random_uuid(), '{kind}', 'email',
                'pessoa' || n || '@example.com', 'Oi ' || n, '<p>Oi</p>', 'Oi', 'resend', {rank}
           FROM generate_series({first}, {last}) n"
    ))
    .await;
    push(shop, Job::SendMails).await;
}

async fn push(shop: &Shop, job: Job) {
    jobs::push(&shop.app.db().await.unwrap(), job).await.unwrap();
}

/// What customers were sent.
fn mails(shop: &Shop) -> Vec<Mail> {
    shop.control().mails().into_iter().filter(|mail| mail.to != [OPERATOR]).collect()
}

/// Calls with many mails, and with one.
fn calls(shop: &Shop) -> (u64, u64) {
    let batches = shop.control().calls_to("resend", "POST /resend/emails/batch");
    (batches, shop.control().calls("resend") - batches)
}

/// How many messages are in that state.
async fn count(shop: &Shop, status: &str) -> i64 {
    shop.sql(&format!("SELECT count(*) FROM messages WHERE status = '{status}' AND kind <> 'alert'")).await
}

/// Every mail that was taken is known by the provider's id of just this mail, and to nobody went two.
async fn assert_each_is_known(shop: &Shop) {
    let known: Vec<String> = shop
        .sql("SELECT coalesce(array_agg(recipient || ' ' || provider_ref ORDER BY recipient), '{}') FROM messages WHERE status = 'sent' AND kind <> 'alert'")
        .await;
    let mut taken: Vec<String> = mails(shop).iter().map(|mail| format!("{} {}", mail.to[0], mail.id)).collect();
    taken.sort();
    let mut known = known;
    known.sort();
    assert_eq!(known, taken);
    let people: std::collections::BTreeSet<_> = taken.iter().map(|mail| mail.split(' ').next()).collect();
    assert_eq!(people.len(), taken.len(), "nobody got two");
}

#[actix_web::test]
async fn two_hundred_and_fifty_mails_leave_by_three_calls_and_each_is_known_by_its_own_id() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=250, "order_placed", 1).await;
    shop.drain().await;
    assert_eq!((mails(&shop).len(), calls(&shop)), (250, (3, 0)));
    assert_eq!(count(&shop, "sent").await, 250);
    assert_each_is_known(&shop).await;
    let mail = mails(&shop).remove(0);
    let id: uuid::Uuid = shop.sql("SELECT id FROM messages WHERE recipient = 'pessoa1@example.com'").await;
    assert_eq!(mail.tags, [("kind".to_owned(), "order_placed".to_owned()), ("message".to_owned(), id.to_string())]);
    shop.close().await;
}

#[actix_web::test]
async fn mails_are_left_to_a_call_together_where_no_turn_of_their_own_is_free() {
    let shop = Shop::open().await;
    shop.execute(
        "INSERT INTO users (id, name, email) SELECT gen_random_uuid(), 'Ana', 'ana' || n || '@example.com' FROM generate_series(1, 40) n",
    )
    .await;
    let people: Vec<UserId> = shop.sql("SELECT array_agg(id) FROM users WHERE name = 'Ana'").await;
    let welcomes: Vec<_> = people.into_iter().map(|user| (Job::MailWelcome { user }, None)).collect();
    jobs::push_all(&shop.app.db().await.unwrap(), &welcomes).await.unwrap();
    let pace = shop.app.mail_pace.clone();
    let others = actix_web::rt::spawn(async move {
        loop {
            pace.turn().await; // somebody always waits for the next one
        }
    });
    tokio::task::yield_now().await;
    shop.drain().await;
    others.abort();
    assert_eq!((mails(&shop).len(), calls(&shop)), (40, (3, 0)), "a call for each sixteen jobs that were leased together");
    assert_each_is_known(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_mail_goes_at_once_and_alone_while_a_turn_is_free() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    push(&shop, Job::MailWelcome { user: ana.id }).await;
    shop.drain().await;
    assert_eq!((mails(&shop).len(), calls(&shop)), (1, (0, 1)));
    shop.close().await;
}

#[actix_web::test]
async fn one_bad_address_costs_itself_alone() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=10, "order_placed", 1).await;
    shop.execute("UPDATE messages SET recipient = 'ana@refused.test' WHERE recipient = 'pessoa4@example.com'").await;
    shop.drain().await;
    assert_eq!((mails(&shop).len(), calls(&shop)), (9, (1, 1)));
    assert_each_is_known(&shop).await;
    let why: String = shop.sql("SELECT recipient || ' ' || error FROM messages WHERE status = 'failed'").await;
    assert_eq!(why, "ana@refused.test invalid_parameter: Invalid `to` field: refused.test takes no mail");
    assert_eq!(shop.alerted().await, ["job-dead:mail_message 1"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_batch_that_is_refused_as_a_whole_goes_mail_by_mail() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next("resend", Fault::Status(422));
    shop.drain().await;
    assert_eq!((mails(&shop).len(), calls(&shop)), (5, (1, 5)));
    assert_each_is_known(&shop).await;
    let mut keys: Vec<String> = mails(&shop).into_iter().filter_map(|mail| mail.idempotency_key).collect();
    keys.sort();
    let own: Vec<String> = shop.sql("SELECT array_agg(kind || '/' || id ORDER BY id) FROM messages").await;
    assert_eq!(keys, own);
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn a_batch_whose_answer_was_lost_is_repeated_as_it_was_whatever_came_meanwhile() {
    let shop = Shop::open().await;
    waiting(&shop, 11..=15, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_CALL);
    shop.drain().await;
    assert_eq!((mails(&shop).len(), count(&shop, "queued").await), (5, 5));
    waiting(&shop, 1..=3, "order_paid", 0).await; // they would go first
    shop.execute(
        "UPDATE messages SET status = 'failed', error = 'what it says is no longer so' WHERE recipient = 'pessoa12@example.com'",
    )
    .await;
    shop.drain_ahead(SOON).await;
    assert_eq!((mails(&shop).len(), count(&shop, "sent").await), (8, 8));
    assert_each_is_known(&shop).await;
    let keys: Vec<_> = mails(&shop).into_iter().map(|mail| mail.idempotency_key).collect();
    assert_eq!(keys[..5].iter().collect::<std::collections::BTreeSet<_>>().len(), 1);
    assert_eq!(keys[5..].iter().collect::<std::collections::BTreeSet<_>>().len(), 1);
    assert_ne!(keys[0], keys[5]);
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM messages WHERE batch_id IS NOT NULL OR batch_rank IS NOT NULL").await, 0);
    shop.close().await;
}

#[actix_web::test]
async fn a_worker_that_dies_when_the_provider_has_taken_the_batch_loses_and_doubles_nothing() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next("resend", Fault::Delay(LIMIT));
    tokio::select! {
        ended = batch::send_mails(&shop.app) => panic!("the answer is late: {ended:?}"),
        taken = shop.control().wait_for(LIMIT, |books| (books.mails().len() == 5).then_some(())) => assert_eq!(taken, Some(())),
    }
    shop.drain().await;
    assert_eq!(calls(&shop), (1, 0), "the dead worker still has its claim");
    assert_eq!(shop.sql::<String>("SELECT state FROM jobs WHERE kind = 'send_mails'").await, "waiting", "so it comes again");
    shop.execute("UPDATE messages SET claimed_at = claimed_at - interval '3 minutes'").await;
    shop.drain_ahead(SOON).await;
    assert_eq!((mails(&shop).len(), calls(&shop), count(&shop, "sent").await), (5, (2, 0), 5));
    assert_each_is_known(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_worker_that_dies_while_it_records_the_answer_is_made_up_for_by_a_repeat() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_CALL);
    shop.drain().await;
    let first = mails(&shop)[0].id.clone();
    shop.execute(&format!(
        "UPDATE messages SET status = 'sent', provider_ref = '{first}', sent_at = now() WHERE recipient = 'pessoa1@example.com'"
    ))
    .await;
    shop.drain_ahead(SOON).await;
    assert_eq!((mails(&shop).len(), count(&shop, "sent").await), (5, 5));
    assert_each_is_known(&shop).await;
    shop.close().await;
}

#[actix_web::test]
async fn a_provider_that_was_down_gets_what_waits_by_one_call_when_it_is_back() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::Status(503), ONE_CALL);
    shop.drain().await;
    let dissolved =
        "SELECT count(*) FROM messages WHERE batch_id IS NULL AND batch_rank = 1 AND tried_at IS NULL AND open_tries = 0";
    assert_eq!(shop.sql::<i64>(dissolved).await, 5, "certainly not sent");
    waiting(&shop, 6..=9, "order_placed", 1).await;
    shop.drain_ahead(SOON).await;
    assert_eq!((mails(&shop).len(), calls(&shop)), (9, (u64::from(ONE_CALL) + 1, 0)));
    assert_each_is_known(&shop).await;
    shop.close().await;
}

const ERASE: &str = "UPDATE messages SET recipient = NULL, subject = '(removido)', html = NULL, body = NULL WHERE recipient = 'pessoa2@example.com'";

#[actix_web::test]
async fn who_is_erased_while_a_batch_is_unclear_is_not_in_its_repeat_and_nobody_gets_two() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_CALL);
    shop.drain().await;
    shop.execute(ERASE).await;
    shop.drain_ahead(SOON).await;
    assert_eq!(mails(&shop).len(), 5, "all that the first try brought, and no more");
    assert_eq!((count(&shop, "failed").await, count(&shop, "queued").await), (4, 1), "the one that waits has no recipient");
    let why: String = shop.sql("SELECT DISTINCT error FROM messages WHERE status = 'failed'").await;
    assert_eq!(why, "it may have been sent, and the provider would not notice a repeat: not sent again");
    assert_eq!(shop.alerted().await, ["job-dead:mail_message 4"]);
    let id: uuid::Uuid = shop.sql("SELECT id FROM messages WHERE recipient = 'pessoa1@example.com'").await;
    let retry = admin.post(&format!("/api/admin/messages/{id}/retry"), &json!({})).await;
    assert_eq!((retry.status, retry.slug()), (409, "conflict"));
    shop.close().await;
}

#[actix_web::test]
async fn a_batch_that_never_arrived_goes_without_who_was_erased_meanwhile() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::DropBeforeRequest, ONE_CALL);
    shop.drain().await;
    assert_eq!(
        shop.sql::<i64>("SELECT count(*) FROM messages WHERE batch_id IS NOT NULL").await,
        5,
        "nobody knows whether it arrived"
    );
    shop.execute(ERASE).await;
    shop.drain_ahead(SOON).await;
    assert_eq!((mails(&shop).len(), count(&shop, "sent").await), (4, 4));
    assert_each_is_known(&shop).await;
    assert_eq!(shop.alerted().await, Vec::<String>::new());
    shop.close().await;
}

#[actix_web::test]
async fn a_batch_that_may_have_been_sent_yesterday_is_not_sent_again() {
    let shop = Shop::open().await;
    waiting(&shop, 1..=5, "order_placed", 1).await;
    shop.control().next_calls("resend", Fault::DropAfterRequest, ONE_CALL);
    shop.drain().await;
    shop.execute("UPDATE messages SET tried_at = now() - interval '24 hours'").await;
    let before = calls(&shop);
    shop.drain_ahead(SOON).await;
    assert_eq!((calls(&shop), mails(&shop).len(), count(&shop, "failed").await), (before, 5, 5));
    assert_eq!(shop.alerted().await, ["job-dead:mail_message 5"]);
    shop.close().await;
}

#[actix_web::test]
async fn a_password_reset_goes_before_a_backlog_and_news_of_payments_before_other_mails() {
    let shop = Shop::open().await;
    let ana = shop.customer().await;
    waiting(&shop, 1..=120, "order_shipped", 1).await;
    waiting(&shop, 121..=123, "order_paid", 0).await;
    assert_eq!(shop.post("/api/auth/forgot-password", &json!({"email": ana.email})).await.status, 202);
    shop.drain().await;
    let sent = mails(&shop);
    assert_eq!((sent.len(), sent[0].subject.as_str(), calls(&shop)), (124, "Redefina sua senha – Loja", (2, 1)));
    let paid = sent[1..101].iter().filter(|mail| mail.tags[0].1 == "order_paid").count();
    assert_eq!(paid, 3, "all are in the first call, though they came last");
    shop.close().await;
}

#[actix_web::test]
async fn a_password_reset_never_queues_behind_other_mails() {
    let shop = Shop::open().await;
    let mails: Vec<_> = (0..20).map(|_| (Job::MailWelcome { user: UserId::new() }, None)).collect();
    jobs::push_all(&shop.app.db().await.unwrap(), &mails).await.unwrap();
    push(&shop, Job::MailPasswordReset { reset: ResetId::new() }).await;
    shop.drain().await;
    let earlier: i64 = shop
        .sql("SELECT count(*) FROM jobs m, jobs c WHERE m.kind = 'mail_welcome' AND c.kind = 'mail_password_reset' AND m.finished_at < c.finished_at")
        .await;
    assert_eq!(earlier, 0, "it came last, and went first");
    shop.close().await;
}

/// The provider was changed while mails waited.
#[actix_web::test]
async fn by_smtp_what_waits_goes_mail_by_mail() {
    let shop = Shop::open_with(&[("MAILER", "smtp")]).await;
    waiting(&shop, 1..=3, "order_placed", 1).await;
    shop.drain().await;
    assert_eq!((mails(&shop).len(), count(&shop, "sent").await, shop.control().calls("resend")), (3, 3, 0));
    shop.close().await;
}
