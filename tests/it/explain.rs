//! `vitrine explain`: the history is complete, in order, and names no person.

use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use vitrine::explain::{self, Story};

use crate::process::serving_env;
use crate::shop::{CPF, Shop};

async fn story(shop: &Shop, order: &str) -> Story {
    explain::story(&shop.app.db().await.unwrap(), order).await.unwrap().expect("a story")
}

/// `payment: creating → pending`, without ids.
fn told(story: &Story) -> Vec<String> {
    let changes = story.steps.iter().map(|step| {
        let words: Vec<&str> = step.what.split(' ').filter(|word| word.parse::<uuid::Uuid>().is_err()).collect();
        let (what, to) = (words.join(" "), step.to.as_deref().unwrap_or("-"));
        match &step.from {
            Some(from) => format!("{what}: {from} → {to}"),
            None => format!("{what}: {to}"),
        }
    });
    changes.collect()
}

/// Bought, paid, refunded in part.
async fn bought(shop: &Shop) -> (String, String) {
    let shirt = shop.product("Camiseta").price(5_000).create().await;
    let cart = shop.guest_cart(&[(&shirt, 2)]).await;
    let mut order = shop.guest_order(&[(&shirt, 2)], CPF).await;
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    let (id, number) = (placed.body["id"].as_str().unwrap().to_owned(), placed.body["number"].as_str().unwrap().to_owned());
    shop.drain().await;
    shop.control().pay(vitrine_sandbox::Pay::of(&id)).unwrap();
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    shop.drain().await;
    let body = json!({"amount_cents": 1234, "reason": "Ana Silva devolveu"});
    assert_eq!(shop.admin().await.post(&format!("/api/orders/{id}/refund"), &body).await.status, 201);
    shop.drain().await;
    assert!(shop.control().settled(Duration::from_secs(20)).await);
    shop.drain().await;
    (id, number)
}

#[actix_web::test]
async fn an_orders_story_is_whole_and_in_order_and_every_step_has_its_cause() {
    let shop = Shop::open().await;
    let (id, number) = bought(&shop).await;
    let story = story(&shop, &id).await;
    let threads = |name: &str| told(&story).into_iter().filter(|line| line.starts_with(name)).collect::<Vec<_>>();
    assert_eq!(threads("order:"), ["order: pending", "order: pending → processing"]);
    assert_eq!(
        threads("payment_status:"),
        [
            "payment_status: pending_payment",
            "payment_status: pending_payment → paid",
            "payment_status: paid → partially_refunded"
        ]
    );
    assert_eq!(
        threads("payment:"),
        ["payment: creating", "payment: creating → pending", "payment: pending → paid", "payment: paid → partially_refunded"]
    );
    assert_eq!(threads("money:"), ["money: capture: 115.22", "money: refund: 12.34"]);
    assert_eq!(threads("stock of"), [format!("stock of {}: -2", story_sku(&shop).await)]);
    let mails: Vec<_> = threads("message").into_iter().filter(|line| line.ends_with("sent")).collect();
    assert_eq!(
        mails,
        ["message order_placed: queued → sent", "message order_paid: queued → sent", "message refunded: queued → sent"]
    );
    // The order of steps: requested, created, confirmed by webhook, paid, refunded.
    let at = |wanted: &str| told(&story).iter().position(|line| line.starts_with(wanted)).unwrap_or_else(|| panic!("{wanted}"));
    let in_turn = [
        "order: pending",
        "payment: creating → pending",
        "webhook payment.paid",
        "payment: pending → paid",
        "money: capture",
        "refund: pending",
        "refund: ",
        "money: refund",
    ];
    let places: Vec<usize> = in_turn.iter().map(|wanted| at(wanted)).collect();
    assert!(places.is_sorted(), "{places:?}\n{:#?}", told(&story));
    assert!(story.steps.is_sorted_by_key(|step| step.at));
    for step in &story.steps {
        let is_an_end = step.what.starts_with("job ") && step.from.is_some();
        assert!(is_an_end || step.cause.as_deref().is_some_and(|cause| cause.contains(':')), "{step:?}");
        assert!(!step.is_gap, "{step:?}");
    }
    // The job or webhook that caused a step is a step itself.
    let caused = story.steps.iter().filter_map(|step| step.cause.as_deref()?.strip_prefix("webhook:").map(str::to_owned));
    for cause in caused {
        assert!(story.steps.iter().any(|step| step.what.starts_with(&format!("webhook {cause}"))), "{cause}");
    }
    assert_eq!(explain::story(&shop.app.db().await.unwrap(), &number.to_lowercase()).await.unwrap().unwrap().id, story.id);
    shop.close().await;
}

async fn story_sku(shop: &Shop) -> String {
    shop.sql("SELECT sku FROM variants").await
}

#[actix_web::test]
async fn a_row_that_is_missing_shows_as_a_gap() {
    let shop = Shop::open().await;
    let (id, _) = bought(&shop).await;
    let mut db = shop.app.db().await.unwrap();
    let tx = db.transaction().await.unwrap();
    tx.batch_execute(
        "ALTER TABLE order_history DISABLE TRIGGER USER; DELETE FROM order_history WHERE subject = 'payment' AND to_state = 'pending'",
    )
    .await
    .unwrap();
    let story = explain::story(&tx, &id).await.unwrap().unwrap();
    let gaps: Vec<_> = story.steps.iter().filter(|step| step.is_gap).map(|step| step.to.as_deref()).collect();
    assert_eq!(gaps, [Some("paid")]);
    tx.rollback().await.unwrap();
    drop(db);
    shop.close().await;
}

#[actix_web::test]
async fn the_command_prints_a_table_or_json_and_no_person() {
    let shop = Shop::open().await;
    let (id, number) = bought(&shop).await;
    let url = shop.database_url().await;
    let run = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
        command
            .arg("explain")
            .args(arguments)
            .current_dir(std::env::temp_dir())
            .env_clear()
            .envs(serving_env(&url))
            .output()
            .unwrap()
    };
    let (text, machine, nothing) = (run(&[&number]), run(&[&id, "--json"]), run(&["VX000-00000"]));
    assert_eq!((text.status.code(), machine.status.code(), nothing.status.code()), (Some(0), Some(0), Some(1)));
    let (text, machine) = (String::from_utf8(text.stdout).unwrap(), String::from_utf8(machine.stdout).unwrap());
    let parsed: Value = serde_json::from_str(&machine).unwrap();
    assert_eq!((parsed["id"].as_str(), parsed["number"].as_str()), (Some(id.as_str()), Some(number.as_str())));
    assert_eq!(text.lines().count(), parsed["steps"].as_array().unwrap().len() + 2);
    assert!(text.contains("pending_payment → paid") && text.contains("money: refund"), "{text}");
    for person in ["529.982", "52998224725", "ana@example.com", "Ana", "Paulista"] {
        assert!(!text.contains(person) && !machine.contains(person), "{person}");
    }
    assert!(nothing.stdout.is_empty() && String::from_utf8_lossy(&nothing.stderr).contains("VX000-00000"));
    shop.close().await;
}
