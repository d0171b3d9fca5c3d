//! Links in mails: what they open, how long, and what ends them.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use vitrine::ids::OrderId;
use vitrine::seal::LINK_LIFE;

use crate::shop::{Answer, Shop};

/// The number and the token of the newest link to an order that was mailed to this address.
fn mailed_link(shop: &Shop, to: &str) -> (String, String) {
    let mails = shop.control().mails_to(to);
    let text =
        mails.iter().rev().filter_map(|mail| mail.text.as_deref()).find(|text| text.contains("/pedidos/")).expect("a link");
    let link = text.lines().find(|line| line.contains("/pedidos/")).unwrap().trim();
    let (number, token) = link.split_once("/pedidos/").unwrap().1.split_once("?token=").unwrap();
    (number.to_owned(), token.to_owned())
}

async fn open(shop: &Shop, name: &str, token: &str) -> Answer {
    shop.request("GET", &format!("/api/orders/{name}")).header("X-Order-Token", token).send().await
}

fn id(placed: &Value) -> OrderId {
    placed["id"].as_str().unwrap().parse().unwrap()
}

#[actix_web::test]
async fn a_guests_mail_link_opens_pays_and_cancels_the_order_that_it_names() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    shop.drain().await;
    let (number, token) = mailed_link(&shop, "ana@example.com");
    assert_eq!(placed["number"], number.as_str());
    for name in [number.as_str(), &number.to_lowercase(), placed["id"].as_str().unwrap()] {
        let shown = open(&shop, name, &token).await;
        assert_eq!((shown.status, &shown.body["id"]), (200, &placed["id"]), "{name}");
    }
    let path = format!("/api/orders/{number}");
    let with = |method: &str, path: String| shop.request(method, &path).header("X-Order-Token", &token);
    let charge = with("POST", format!("{path}/pay")).json(&json!({"method": "pix"})).send().await;
    assert_eq!(charge.status, 200, "{}", charge.body);
    assert_eq!(with("GET", format!("{path}/payments")).send().await.body["total"], 1);
    assert_eq!(with("GET", format!("{path}/invoice")).send().await.status, 404, "there is none yet");
    let cancelled = with("PATCH", format!("{path}/cancel")).json(&json!({"reason": "errei"})).send().await;
    assert_eq!((cancelled.status, &cancelled.body["status"]), (200, &json!("cancelled")), "{}", cancelled.body);
    shop.close().await;
}

#[actix_web::test]
async fn a_number_is_read_as_people_type_it_wherever_one_is_asked_for() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, admin) = (shop.customer().await, shop.admin().await);
    let (hers, guests) = (ana.buy(&[(&shirt, 1)]).await.body, shop.buy_as_guest(&[(&shirt, 1)]).await.body);
    for (placed, number) in [(&hers, "0A1B2-C3D4E"), (&guests, "1F0G2-H3J4K")] {
        shop.execute(&format!("UPDATE orders SET number = '{number}' WHERE id = '{}'", placed["id"].as_str().unwrap())).await;
    }
    for typed in ["0A1B2-C3D4E", "0a1b2c3d4e", "OA1B2-C3D4E", "oaib2%20c3d4e", "0AlB2C3D4E"] {
        let shown = ana.get(&format!("/api/orders/{typed}")).await;
        assert_eq!((shown.status, &shown.body["id"]), (200, &hers["id"]), "{typed}: {}", shown.body);
        assert_eq!(ana.get(&format!("/api/orders/{typed}/payments")).await.status, 200, "{typed}");
        assert_eq!(shop.get(&format!("/api/orders/tracking/{typed}")).await.body["number"], "0A1B2-C3D4E", "{typed}");
        for who in [&admin, &ana] {
            let found = who.get(&format!("/api/orders?q={typed}")).await;
            let ids: Vec<&Value> = found.body["items"].as_array().unwrap().iter().map(|order| &order["id"]).collect();
            assert_eq!(ids, [&hers["id"]], "{typed}: {}", found.body);
        }
    }
    shop.drain().await;
    let link = json!({"number": " ifog2h3j4k", "email": "ana@example.com"});
    let before = shop.control().mails_to("ana@example.com").len();
    assert_eq!(shop.request("POST", "/api/orders/link").json(&link).send().await.status, 202);
    shop.drain().await;
    assert_eq!(shop.control().mails_to("ana@example.com").len(), before + 1, "a new link");
    let story = vitrine::explain::story(&shop.app.db().await.unwrap(), "oa1b2c3d4e").await.unwrap().expect("the order");
    assert_eq!(story.number, "0A1B2-C3D4E");
    shop.close().await;
}

#[actix_web::test]
async fn every_route_of_an_order_takes_its_number_from_those_who_may_see_it_and_from_nobody_else() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let (ana, eva, admin) = (shop.customer().await, shop.customer().await, shop.admin().await);
    let placed = ana.buy(&[(&shirt, 1)]).await.body;
    let (id, number) = (placed["id"].as_str().unwrap(), placed["number"].as_str().unwrap());
    for who in [&ana, &admin] {
        for part in ["", "/payments"] {
            let (by_id, by_number) =
                (who.get(&format!("/api/orders/{id}{part}")).await, who.get(&format!("/api/orders/{number}{part}")).await);
            assert_eq!((by_number.status, &by_number.body), (200, &by_id.body), "{part}");
        }
        assert_eq!(who.get(&format!("/api/v1/orders/{number}")).await.status, 200);
    }
    assert_eq!(admin.get(&format!("/api/orders/{number}/returns")).await.status, 200);
    assert_eq!(eva.get(&format!("/api/orders/{number}")).await.status, 404);
    assert_eq!(shop.get(&format!("/api/orders/{number}")).await.status, 401);
    let guests = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let foreign = open(&shop, number, guests["access_token"].as_str().unwrap()).await;
    assert_eq!((foreign.status, foreign.slug()), (404, "not-found"));
    for unknown in ["VT-XXXX-XXXX", "0", "%20", &"9".repeat(200)] {
        assert_eq!(ana.get(&format!("/api/orders/{unknown}")).await.status, 404, "{unknown}");
    }
    shop.close().await;
}

#[actix_web::test]
async fn a_link_ends_after_its_life_and_says_how_to_get_a_new_one() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let (order, name) = (id(&placed), placed["id"].as_str().unwrap());
    let past = Timestamp::now() - LINK_LIFE;
    let (still, over) = (past + SignedDuration::from_mins(1), past - SignedDuration::from_mins(1));
    assert_eq!(open(&shop, name, &shop.app.keys.order_token(order, still)).await.status, 200);
    let ended = open(&shop, name, &shop.app.keys.order_token(order, over)).await;
    assert_eq!((ended.status, ended.slug()), (401, "unauthorized"));
    assert!(ended.body["detail"].as_str().unwrap().contains("/api/orders/link"), "{}", ended.body);
    let invoice = |token: String| format!("/api/orders/{name}/invoice/xml?token={token}");
    assert_eq!(shop.get(&invoice(shop.app.keys.invoice_token(order, still))).await.status, 404, "there is no file yet");
    assert_eq!(shop.get(&invoice(shop.app.keys.invoice_token(order, over))).await.status, 401);
    // The last second of its life is signed: it cannot be put off.
    let mut late = shop.app.keys.order_token(order, over).into_bytes();
    late[6] ^= 1;
    assert_eq!(open(&shop, name, &String::from_utf8(late).unwrap()).await.status, 404);
    shop.close().await;
}

#[actix_web::test]
async fn a_new_link_goes_to_the_orders_own_email_and_once_an_hour() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").create().await;
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    shop.drain().await;
    let before = shop.control().mails_to("ana@example.com").len();
    let ask = |number: Value, email: &str| {
        let body = json!({"number": number, "email": email});
        let shop = &shop;
        async move { shop.post("/api/orders/link", &body).await.status }
    };
    assert_eq!(ask(placed["number"].clone(), "outra@example.com").await, 202, "the answer tells nothing");
    assert_eq!(ask(json!("VT-XXXX-XXXX"), "ana@example.com").await, 202);
    shop.drain().await;
    assert_eq!(shop.control().mails_to("ana@example.com").len(), before);
    assert!(shop.control().mails_to("outra@example.com").is_empty());
    for _ in 0..3 {
        assert_eq!(ask(placed["number"].clone(), "ANA@example.com").await, 202);
        shop.drain().await;
    }
    let mails = shop.control().mails_to("ana@example.com");
    // A run over the full hour may send a second one.
    assert!((1..=2).contains(&(mails.len() - before)), "{}", mails.len() - before);
    assert_eq!(mails[before].subject, format!("Novo link do pedido {}", placed["number"].as_str().unwrap()));
    let (number, token) = mailed_link(&shop, "ana@example.com");
    assert_eq!(open(&shop, &number, &token).await.status, 200);
    shop.close().await;
}

#[actix_web::test]
async fn an_erasure_ends_every_link_to_the_order() {
    let shop = Shop::open().await;
    let (shirt, admin) = (shop.product("Camiseta").create().await, shop.admin().await);
    let placed = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let (order, name) = (id(&placed), placed["id"].as_str().unwrap());
    let token = placed["access_token"].as_str().unwrap();
    let cancel = shop.request("PATCH", &format!("/api/orders/{name}/cancel")).header("X-Order-Token", token);
    assert_eq!(cancel.send().await.status, 200);
    shop.execute(&format!(
        "INSERT INTO invoices (id, order_id, environment, provider, total_cents, xml, xml_sha256)
         SELECT gen_random_uuid(), id, 'homologacao', 'focusnfe', total_cents, convert_to('<nfe/>', 'UTF8'), sha256('x') FROM orders WHERE id = '{order}'"
    ))
    .await;
    let invoice = format!("/api/orders/{name}/invoice/xml?token={}", shop.app.keys.invoice_token(order, Timestamp::now()));
    assert_eq!(shop.get(&invoice).await.status, 200);
    assert_eq!(admin.post("/api/admin/guests/erase", &json!({"email": "ana@example.com"})).await.body["orders"], 1);
    assert_eq!(open(&shop, name, token).await.status, 404);
    assert_eq!(shop.get(&invoice).await.status, 401, "the document shows the person");
    shop.post("/api/orders/link", &json!({"number": placed["number"], "email": "ana@example.com"})).await;
    shop.drain().await;
    let told =
        shop.control().mails_to("ana@example.com").into_iter().filter(|mail| mail.subject.starts_with("Novo link")).count();
    assert_eq!(told, 0);
    shop.execute("DELETE FROM invoices").await; // it was planted, and no job looks after it
    shop.close().await;
}
