//! What the accountant gets of a month, and the documents of returns and cancellations.

use std::io::{Cursor, Read};
use std::process::Command;

use serde_json::{Value, json};
use zip::ZipArchive;

use crate::invoices::goes_on;
use crate::process::serving_env;
use crate::seller::buys;
use crate::shop::{Product, Shop};

async fn open() -> (Shop, Product) {
    let shop = Shop::open_with(&[("NFE_PROVIDER", "focusnfe")]).await;
    shop.sells_as("simples").await;
    let ware = shop.ware("SKU-1", 8_250).await;
    (shop, ware)
}

async fn sold(shop: &Shop, ware: &Product) -> String {
    let order = buys(shop, &[(ware, 2)]).await;
    shop.pays(&order).await;
    goes_on(shop).await;
    order
}

/// This month, as the shop's calendar has it.
fn month() -> String {
    jiff::Timestamp::now().to_zoned(vitrine::calendar::zone()).strftime("%Y-%m").to_string()
}

/// Names and contents.
async fn unpacked(shop: &Shop, month: &str) -> Vec<(String, String)> {
    let answer = shop.admin().await.get(&format!("/api/admin/accountant/{month}")).await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/zip")), "{}", answer.body);
    let mut zip = ZipArchive::new(Cursor::new(answer.bytes.to_vec())).unwrap();
    let mut files = Vec::new();
    for at in 0..zip.len() {
        let mut file = zip.by_index(at).unwrap();
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        files.push((file.name().unwrap().to_string(), text));
    }
    files
}

fn text<'a>(files: &'a [(String, String)], name: &str) -> &'a str {
    &files.iter().find(|(found, _)| found == name).unwrap_or_else(|| panic!("{name} in {files:?}")).1
}

fn folders(files: &[(String, String)]) -> Vec<(&str, usize)> {
    ["vendas/", "devolucoes/", "canceladas/", "cancelamentos/"]
        .map(|folder| (folder, files.iter().filter(|(name, _)| name.starts_with(folder)).count()))
        .to_vec()
}

#[actix_web::test]
async fn a_month_holds_every_xml_and_agrees_with_the_ledger_to_the_centavo() {
    let (shop, ware) = open().await;
    let (kept, returned, cancelled) = (sold(&shop, &ware).await, sold(&shop, &ware).await, sold(&shop, &ware).await);
    let admin = shop.admin().await;
    let tracking = json!({"tracking_number": "AA123456785BR", "carrier": "Correios"});
    assert_eq!(admin.patch(&format!("/api/orders/{returned}/tracking"), &tracking).await.status, 200);
    let refund = json!({"reason": "voltou", "restock": true});
    let answer = admin.post(&format!("/api/orders/{returned}/refund"), &refund).await;
    assert!(answer.status < 300, "{}", answer.body);
    let answer = admin.request("PATCH", &format!("/api/orders/{cancelled}/cancel")).json(&json!({})).send().await;
    assert!(answer.status < 300, "{}", answer.body);
    goes_on(&shop).await;
    shop.drain().await;

    let files = unpacked(&shop, &month()).await;
    let expected = [("vendas/", 2), ("devolucoes/", 1), ("canceladas/", 1), ("cancelamentos/", 1)];
    assert_eq!(folders(&files), expected, "{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>());
    let words = text(&files, "LEIAME.txt");
    assert!(words.contains("Vendas: 2 nota(s)") && words.contains("Devoluções: 1 nota(s)"), "{words}");
    assert!(words.contains("Pedidos conferidos com o razão: 3") && words.contains("Confere ao centavo"), "{words}");
    assert_eq!(text(&files, "conferencia.csv").lines().count(), 1, "only its header");
    let total: i64 = shop.sql(&format!("SELECT total_cents::bigint FROM orders WHERE id = '{kept}'")).await;
    let by_cfop: Vec<Vec<&str>> = text(&files, "somas-por-cfop.csv").lines().map(|line| line.split(',').collect()).collect();
    let cents = |cell: &str| cell.replace('.', "").parse::<i64>().unwrap();
    assert_eq!(by_cfop.len(), 3, "{by_cfop:?}");
    for (line, kind, cfop, orders) in [(&by_cfop[1], "venda", "5102", 2), (&by_cfop[2], "devolucao", "1202", 1)] {
        assert_eq!((line[0], line[1]), (kind, cfop));
        assert_eq!(cents(line[3]) - cents(line[4]) + cents(line[5]), orders * total, "products − discount + freight: {line:?}");
    }

    // One that is paid and has no invoice is a difference, with its amount.
    shop.execute(&format!("UPDATE invoices SET status = 'cancelled', cancelled_at = now() WHERE order_id = '{kept}'")).await;
    let files = unpacked(&shop, &month()).await;
    let number: String = shop.sql(&format!("SELECT number FROM orders WHERE id = '{kept}'")).await;
    let paid = format!("{}.{:02}", total / 100, total % 100);
    assert_eq!(text(&files, "conferencia.csv").lines().nth(1), Some(format!("pedido,{number},,0.00,{paid},-{paid}").as_str()));
    assert!(text(&files, "LEIAME.txt").contains("1 diferença(s)"));
    assert!(folders(&unpacked(&shop, "2020-01").await).iter().all(|(_, count)| *count == 0), "another month has none");
    for wrong in ["2026-13", "november", "2026-1"] {
        assert_eq!(admin.get(&format!("/api/admin/accountant/{wrong}")).await.status, 422, "{wrong}");
    }
    let logged: i64 = shop.sql("SELECT count(*) FROM audit_log WHERE action = 'invoice.accountant'").await;
    assert_eq!(logged, 3);
}

#[actix_web::test]
async fn the_command_writes_the_month_into_a_file_and_fails_where_it_differs_from_the_ledger() {
    let (shop, ware) = open().await;
    let order = sold(&shop, &ware).await;
    let url = shop.database_url().await;
    let out = std::env::temp_dir().join(format!("notas-{order}.zip"));
    let run = |month: &str| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vitrine"));
        let command = command.args(["accountant", "--month", month, "--out"]).arg(&out).current_dir(std::env::temp_dir());
        command.env_clear().envs(serving_env(&url)).output().unwrap()
    };
    let agrees = run(&month());
    assert_eq!(agrees.status.code(), Some(0), "{}", String::from_utf8_lossy(&agrees.stderr));
    let said = String::from_utf8(agrees.stdout).unwrap();
    assert!(said.contains("1 order(s) agree with the ledger to the centavo"), "{said}");
    let mut zip = ZipArchive::new(std::fs::File::open(&out).unwrap()).unwrap();
    assert_eq!((zip.len(), zip.by_index(0).unwrap().name().unwrap().starts_with("vendas/")), (5, true));
    shop.execute("UPDATE invoices SET status = 'cancelled', cancelled_at = now()").await;
    let differs = run(&month());
    assert_eq!(differs.status.code(), Some(1));
    assert!(String::from_utf8(differs.stdout).unwrap().contains("1 of 1 order(s) differ from the ledger"));
    assert_eq!(run("2026-13").status.code(), Some(1));
    std::fs::remove_file(&out).unwrap();
}

#[actix_web::test]
async fn returns_and_cancellations_have_documents_for_the_buyer_and_the_admin() {
    let (shop, ware) = open().await;
    let order = sold(&shop, &ware).await;
    let token = shop.app.keys.order_token(order.parse().map(vitrine::ids::OrderId).unwrap(), jiff::Timestamp::now());
    let admin = shop.admin().await;
    let answer = admin.request("PATCH", &format!("/api/orders/{order}/cancel")).json(&json!({})).send().await;
    assert!(answer.status < 300, "{}", answer.body);
    goes_on(&shop).await;
    shop.drain().await;
    let list = shop.request("GET", &format!("/api/orders/{order}/invoices")).header("X-Order-Token", &token).send().await;
    assert_eq!((list.status, list.body["items"].as_array().map(Vec::len)), (200, Some(1)), "{}", list.body);
    let one = &list.body["items"][0];
    assert_eq!((&one["purpose"], &one["status"]), (&json!("sale"), &json!("cancelled")));
    let path = |url: &Value| url.as_str().unwrap().strip_prefix(&shop.app.config.http.public_url).unwrap().to_owned();
    let cancellation = shop.get(&path(&one["cancellation_xml_url"])).await;
    let xml = String::from_utf8_lossy(&cancellation.bytes).into_owned();
    assert!(xml.contains("<tpEvento>110111</tpEvento>") && xml.contains(one["chave"].as_str().unwrap()), "{xml}");
    assert_eq!(shop.get(&path(&one["xml_url"])).await.status, 200);
    let id = one["id"].as_str().unwrap();
    for document in ["xml", "danfe", "cancellation-xml"] {
        assert_eq!(admin.get(&format!("/api/admin/invoices/{id}/{document}")).await.status, 200, "{document}");
        let bare = shop.get(&format!("/api/orders/{order}/invoices/{id}/{document}")).await;
        assert_eq!(bare.status, 401, "nobody opens it without a right to it");
        let theirs = shop.customer().await.get(&format!("/api/orders/{order}/invoices/{id}/{document}")).await;
        assert_eq!(theirs.status, 404, "it is not theirs");
    }
    assert_eq!(admin.get(&format!("/api/admin/invoices/{id}/other")).await.status, 404);
    shop.close().await;
}
