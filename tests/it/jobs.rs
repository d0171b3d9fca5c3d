//! A pushed job runs after the push, also if the same job was running at that moment.

use std::time::Duration;

use jiff::SignedDuration;
use uuid::Uuid;
use vitrine::ids::InvoiceId;
use vitrine::jobs::{self, Job};
use vitrine_sandbox::{Books, Fault};

use crate::shop::Shop;
use crate::{invoices, seller};

const LIMIT: Duration = Duration::from_secs(20);
/// How long the provider's answer takes; everything else takes less.
const UNDERWAY: Fault = Fault::Delay(Duration::from_secs(2));

fn reads(books: &Books) -> u64 {
    let counts = books.call_counts().get("focusnfe");
    counts.and_then(|counts| counts.get("GET /focusnfe/v2/nfe/{ref}")).copied().unwrap_or(0)
}

/// Runs the job of an invoice, which asks the provider; while the answer is under way, the same job is pushed.
async fn pushed_while_it_asks(shop: &Shop) {
    let invoice = InvoiceId(shop.sql::<Uuid>("SELECT id FROM invoices").await);
    let before = shop.control().books(reads);
    jobs::push_now(&shop.app.db().await.unwrap(), Job::SendInvoice { invoice }).await.unwrap();
    shop.control().next("focusnfe", UNDERWAY);
    let push = async {
        let asks = |books: &Books| (reads(books) > before).then_some(());
        shop.control().wait_for(LIMIT, asks).await.expect("the provider was asked");
        jobs::push_now(&shop.app.db().await.unwrap(), Job::SendInvoice { invoice }).await.unwrap();
        let unfinished: i64 = shop.sql("SELECT count(*) FROM jobs WHERE kind = 'send_invoice' AND state <> 'done'").await;
        assert_eq!(unfinished, 1, "there is one, not two");
    };
    tokio::join!(shop.drain_ahead(SignedDuration::ZERO), push);
    assert_eq!(shop.control().books(reads) - before, 2, "its first answer was from before the push");
    assert_eq!(shop.sql::<i64>("SELECT count(*) FROM jobs WHERE again").await, 0);
}

#[actix_web::test]
async fn a_job_that_is_pushed_while_it_runs_runs_once_more() {
    let (shop, ware) = invoices::open("focusnfe").await;
    let order = seller::buys(&shop, &[(&ware, 1)]).await;
    shop.pays(&order).await;
    shop.control().tax_authority_away(true);
    shop.drain().await;
    pushed_while_it_asks(&shop).await; // alone, it would run again in some seconds
    shop.control().tax_authority_away(false);
    invoices::goes_on(&shop).await;
    pushed_while_it_asks(&shop).await; // alone, it would be done
    shop.close().await;
}

#[actix_web::test]
async fn a_job_of_a_newer_release_waits_for_somebody_who_knows_it() {
    let shop = Shop::open().await;
    const NEWER: &str = r#"INSERT INTO jobs (id, kind, payload, max_attempts, cause) VALUES (gen_random_uuid(), 'from_tomorrow', '{"kind": "from_tomorrow"}', 25, 'test')"#;
    shop.execute(NEWER).await;
    shop.drain().await;
    let state: String = shop.sql("SELECT state FROM jobs WHERE kind = 'from_tomorrow'").await;
    assert_eq!(state, "waiting");
    shop.close().await;
}
