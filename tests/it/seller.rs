//! The seller of the tests, as invoices need one: company and tax settings, written to the database.

use serde_json::{Value, json};

use crate::shop::{Product, Shop};

/// The seller's CNPJ; the sandbox's tax authority accepts any that is valid.
pub const CNPJ: &str = "11222333000181";

impl Shop {
    /// Sets company and taxes; `regime` is `simples` or `normal`.
    pub async fn sells_as(&self, regime: &str) {
        let company = json!({
            "legal_name": "Loja de Teste Ltda", "trade_name": "Loja", "cnpj": CNPJ, "state_registration": "110042490114",
            "tax_regime": regime, "invoice_series": 1, "phone": "+551133334444",
            "address": {"cep": "01310100", "street": "Avenida Paulista", "number": "1000", "complement": null, "district": "Bela Vista",
                        "city": "São Paulo", "state": "SP", "ibge_city": "3550308"}
        });
        let taxes = match regime {
            "normal" => json!({"products": {
                "icms_cst": "00", "pis_cst": "01", "pis_rate": 165, "cofins_cst": "01", "cofins_rate": 760,
                "ibs_cbs_cst": "000", "cclasstrib": "000001"}, "fcp_rates": {"RJ": 200}}),
            // Complete also for the days from 2027-01-04 on, whenever the tests are run.
            _ => json!({"products": {"csosn": "102", "ibs_cbs_cst": "000", "cclasstrib": "000001"},
                        "reform_rates": [{"from": "2027-01-01", "cbs": 870}]}),
        };
        self.set("company", &company).await;
        self.set("taxes", &taxes).await;
    }

    /// The CBS of 2027, which no law has fixed yet: 8.70 % as an example.
    pub async fn knows_the_rates_of_2027(&self) {
        let rates = r#"[{"from": "2027-01-01", "cbs": 870}]"#;
        self.execute(&format!("UPDATE settings SET value = value || '{{\"reform_rates\": {rates}}}' WHERE name = 'taxes'")).await;
    }

    pub async fn set(&self, name: &str, value: &Value) {
        const SET: &str = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = $2";
        self.app.db().await.unwrap().execute(SET, &[&name, value]).await.unwrap();
    }

    /// A product that can be invoiced, with its own SKU.
    pub async fn ware(&self, sku: &str, cents: i64) -> Product {
        let product = self.product(&format!("Produto {sku}")).price(cents).stock(1000).create().await;
        self.execute(&format!("UPDATE products SET origin = 0 WHERE id = '{}'", product.id)).await;
        self.execute(&format!("UPDATE variants SET sku = '{sku}' WHERE id = '{}'", product.variant_id)).await;
        product
    }

    /// Pays an order by PIX, as the buyer does, and waits for the webhook.
    pub async fn pays(&self, order: &str) {
        self.control().pay(vitrine_sandbox::Pay::of(order)).unwrap();
        assert!(self.control().settled(std::time::Duration::from_secs(20)).await, "the news of it came");
    }
}

/// A guest buys these, to be paid by PIX: the order's id.
pub async fn buys(shop: &Shop, items: &[(&Product, i32)]) -> String {
    let cart = shop.guest_cart(items).await;
    let mut order = shop.guest_order(items, crate::shop::CPF).await;
    order["pay"] = json!({"method": "pix"});
    let placed = shop.request("POST", "/api/orders").header("X-Cart-Token", &cart).json(&order).send().await;
    assert_eq!(placed.status, 201, "{}", placed.body);
    placed.body["id"].as_str().unwrap().to_owned()
}
