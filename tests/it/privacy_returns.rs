//! Goods that come back after their buyer was erased.

use serde_json::{Value, json};
use vitrine_sandbox::{Nfe, NfeStatus};

use crate::goods::come_back;
use crate::invoices::{goes_on, open};
use crate::seller::buys;
use crate::shop::{Answer, CPF, Shop};

async fn delivers(shop: &Shop, order: &str) {
    let admin = shop.admin().await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    let shipped = admin.patch(&format!("/api/orders/{order}/tracking"), &tracking).await;
    assert_eq!(shipped.status, 200, "{}", shipped.body);
    let delivered = admin.patch(&format!("/api/orders/{order}/delivered"), &json!({})).await;
    assert_eq!(delivered.status, 200, "{}", delivered.body);
}

async fn erase(shop: &Shop) -> Answer {
    shop.admin().await.post("/api/admin/guests/erase", &json!({"cpf": CPF, "email": "ana@example.com"})).await
}

fn standing(shop: &Shop, purpose: u8) -> Vec<Nfe> {
    let stands = |nfe: &Nfe| nfe.status == NfeStatus::Authorized && nfe.draft.purpose == purpose;
    shop.control().nfes().into_iter().filter(stands).collect()
}

#[actix_web::test]
async fn goods_come_back_after_the_erasure_and_the_return_names_the_buyer_of_the_sale() {
    for provider in ["focusnfe", "enotas"] {
        let (shop, ware) = open(provider).await;
        let order = buys(&shop, &[(&ware, 2)]).await;
        shop.pays(&order).await;
        goes_on(&shop).await;
        delivers(&shop, &order).await;
        goes_on(&shop).await;
        let erased = erase(&shop).await;
        assert_eq!((erased.status, &erased.body["orders"]), (200, &json!(1)), "{provider}: {}", erased.body);
        let back = come_back(&shop, &order, &json!({"reason": "arrependimento", "restock": true})).await;
        assert_eq!(back.status, 201, "{provider}: {}", back.body);
        goes_on(&shop).await;
        let (sales, returns) = (standing(&shop, 1), standing(&shop, 4));
        assert_eq!((sales.len(), returns.len()), (1, 1), "{provider}: {:?}", shop.alerted().await);
        let (sold, returned) = (&sales[0].draft.buyer, &returns[0].draft.buyer);
        assert_eq!(returned.tax_id, CPF.chars().filter(char::is_ascii_digit).collect::<String>(), "{provider}");
        assert_eq!((&returned.street, &returned.number, &returned.cep), (&sold.street, &sold.number, &sold.cep), "{provider}");
        assert_eq!(returned.ibge_city, sold.ibge_city, "{provider}");
        const LEFT: &str =
            "SELECT customer_name || coalesce(customer_email, '') || coalesce(shipping_address ->> 'street', '') FROM orders";
        let left: String = shop.sql(LEFT).await;
        assert_eq!(left, "(removido)", "{provider}: the order stays without its person");
        shop.close().await;
    }
}

#[actix_web::test]
async fn nobody_is_erased_before_the_invoice_that_names_them_stands() {
    let (shop, ware) = open("focusnfe").await;
    shop.control().tax_authority_away(true);
    let order = buys(&shop, &[(&ware, 1)]).await;
    shop.pays(&order).await;
    shop.drain().await;
    delivers(&shop, &order).await;
    shop.drain().await;
    let number: String = shop.sql("SELECT number FROM orders").await;
    let refused = erase(&shop).await;
    let text: &Value = &refused.body["detail"];
    assert_eq!(refused.status, 409, "{}", refused.body);
    assert!(text.as_str().unwrap().contains(&format!("The invoice of order {number}")), "{text}");
    assert_eq!(shop.sql::<String>("SELECT customer_name FROM orders").await, "Ana Silva", "nothing moved");
    shop.control().tax_authority_away(false);
    goes_on(&shop).await;
    assert_eq!(erase(&shop).await.status, 200);
    shop.close().await;
}
