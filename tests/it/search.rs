//! The product search: what a person types finds what it names. Vocabulary and titles are made in `search_titles.rs`.

use std::path::Path;

use serde_json::json;
use vitrine::seed;

use crate::plans::{plans, statement};
use crate::search_titles::{Generated, Random, ask, generate, plain};
use crate::shop::{Answer, Shop};

fn searching(q: &str, limit: usize) -> String {
    let query =
        form_urlencoded::Serializer::new(String::new()).append_pair("q", q).append_pair("limit", &limit.to_string()).finish();
    format!("/api/products/search?{query}")
}

fn names(list: &Answer) -> Vec<String> {
    assert_eq!(list.status, 200, "{}", list.body);
    list.body["items"].as_array().unwrap().iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
}

async fn found(shop: &Shop, q: &str) -> Vec<String> {
    names(&shop.get(&searching(q, 100)).await)
}

/// Products of nothing but a name. A statement may take ten seconds, so each fills in some of them.
async fn fill(shop: &Shop, names: &[&str]) {
    const CATEGORY: &str = "INSERT INTO categories (id, slug, name) VALUES (gen_random_uuid(), 'tudo', 'Tudo')";
    const FILL: &str = "
        INSERT INTO products (id, slug, name, category_id, weight_grams, height_cm, width_cm, length_cm)
        SELECT gen_random_uuid(), 'p-' || $2::bigint + n, titles.name, c.id, 1, 1, 1, 1
          FROM unnest($1::text[]) WITH ORDINALITY AS titles (name, n), categories c WHERE c.slug = 'tudo'";
    let db = shop.app.db().await.unwrap();
    db.batch_execute(CATEGORY).await.unwrap();
    for (n, some) in names.chunks(2_000).enumerate() {
        db.execute(FILL, &[&some, &(n as i64 * 2_000)]).await.unwrap();
    }
    db.batch_execute("ANALYZE products").await.unwrap();
}

/// What was filled in has no variants, which the audit would say.
async fn empty(shop: Shop) {
    shop.app.db().await.unwrap().batch_execute("TRUNCATE products, variants CASCADE").await.unwrap();
    shop.close().await;
}

#[actix_web::test]
async fn singular_and_plural_find_each_other_with_and_without_accents() {
    const PAIRS: [(&str, &str); 83] = [
        ("Botão", "botões"),
        ("Balão", "balões"),
        ("Fogão", "fogões"),
        ("Limão", "limões"),
        ("Sabão", "sabões"),
        ("Cordão", "cordões"),
        ("Pão", "pães"),
        ("Cão", "cães"),
        ("Mão", "mãos"),
        ("Grão", "grãos"),
        ("Órgão", "órgãos"),
        ("Anel", "anéis"),
        ("Papel", "papéis"),
        ("Pincel", "pincéis"),
        ("Móvel", "móveis"),
        ("Útil", "úteis"),
        ("Estéril", "estéreis"),
        ("Estêncil", "estênceis"),
        ("Pênsil", "pênseis"),
        ("Fácil", "fáceis"),
        ("Portátil", "portáteis"),
        ("Lençol", "lençóis"),
        ("Farol", "faróis"),
        ("Girassol", "girassóis"),
        ("Barril", "barris"),
        ("Funil", "funis"),
        ("Infantil", "infantis"),
        ("Perfil", "perfis"),
        ("Casal", "casais"),
        ("Metal", "metais"),
        ("Sal", "sais"),
        ("Azul", "azuis"),
        ("Jovem", "jovens"),
        ("Batom", "batons"),
        ("Marrom", "marrons"),
        ("Álbum", "álbuns"),
        ("Amendoim", "amendoins"),
        ("Hífen", "hifens"),
        ("Biquíni", "biquínis"),
        ("Abacaxi", "abacaxis"),
        ("Flor", "flores"),
        ("Luz", "luzes"),
        ("Colher", "colheres"),
        ("Mulher", "mulheres"),
        ("Liquidificador", "liquidificadores"),
        ("Mês", "meses"),
        ("Gás", "gases"),
        ("Pé", "pés"),
        ("Café", "cafés"),
        ("Maçã", "maçãs"),
        ("Mãe", "mães"),
        ("Baú", "baús"),
        ("Tênis", "tenis"),
        ("Lápis", "lapis"),
        ("Ônibus", "onibus"),
        ("País", "países"),
        ("Anis", "anises"),
        ("Chinês", "chineses"),
        ("Inglês", "ingleses"),
        ("Francês", "franceses"),
        ("Português", "portugueses"),
        ("Japonês", "japoneses"),
        ("Holandês", "holandeses"),
        ("Escocês", "escoceses"),
        ("Irlandês", "irlandeses"),
        ("Norueguês", "noruegueses"),
        ("Camponês", "camponeses"),
        ("Freguês", "fregueses"),
        ("Viés", "vieses"),
        ("Convés", "conveses"),
        ("Revés", "reveses"),
        ("Lilás", "lilases"),
        ("Retrós", "retroses"),
        ("Tese", "teses"),
        ("Síntese", "sínteses"),
        ("Prótese", "próteses"),
        ("Maionese", "maioneses"),
        ("Marquise", "marquises"),
        ("Crise", "crises"),
        ("Análise", "análises"),
        ("Chemise", "chemises"),
        ("Base", "bases"),
        ("Dose", "doses"),
    ];
    let shop = Shop::open().await;
    let all: Vec<&str> = PAIRS.iter().flat_map(|(one, many)| [*one, *many]).collect();
    fill(&shop, &all).await;
    for (one, many) in PAIRS {
        for q in [one.to_owned(), many.to_owned(), many.to_uppercase(), without_accents(one), without_accents(many)] {
            let found = found(&shop, &q).await;
            let missing: Vec<&str> = [one, many].into_iter().filter(|name| !found.iter().any(|f| f == name)).collect();
            assert_eq!(missing, Vec::<&str>::new(), "{q}: {found:?}");
        }
    }
    empty(shop).await;
}

fn without_accents(text: &str) -> String {
    text.to_lowercase().chars().map(plain).collect()
}

#[actix_web::test]
async fn words_that_only_look_alike_do_not_find_each_other() {
    for (q, other) in [
        ("bota", "Botão de Madrepérola"),
        ("bala", "Balão"),
        ("mãe", "Mão"),
        ("mão", "Mães"),
        ("pai", "Pão"),
        ("meia", "Mel"),
        ("mais", "Mal"),
        ("500ml", "Quebra-Cabeça 500 Peças com Cola 30 ml"),
        ("tenis", "Tecido"),
    ] {
        let shop = Shop::open().await;
        fill(&shop, &[other]).await;
        assert_eq!(found(&shop, q).await, Vec::<String>::new(), "{q}");
        empty(shop).await;
    }
}

#[actix_web::test]
async fn numbers_units_and_signs_may_be_typed_in_every_usual_way() {
    let shop = Shop::open().await;
    const TITLES: [(&str, &[&str]); 17] = [
        ("Calça Jeans 38-40", &["calça 40", "calca 38", "calça jeans 38/40", "jeans 40"]),
        ("Tênis Preto/Branco Corrida", &["tenis branco", "tênis preto", "tenis branco/preto", "preto+branco"]),
        (
            "Lâmpada Led 110/220V 9W",
            &["lampada 220v", "lampada 110v", "lâmpada 220 V", "lampada 9 watts", "lampada led 220 volts"],
        ),
        ("Meia Esportiva 39/43", &["meia 43", "meia 39", "meias 39-43"]),
        ("Luva Descartável c/100", &["luva 100", "luvas c/ 100", "luva c 100"]),
        ("Blusa Tam.M", &["blusa m", "blusa tam m"]),
        ("Café 3corações 250g", &["3corações", "3 coracoes", "3CORAÇÕES 250 g", "cafe 250 gramas"]),
        ("Garrafa Térmica 1,5L", &["garrafa 1,5 l", "garrafa 1.5L", "garrafa 1,5 litros", "garrafa 1,50L"]),
        ("Monitor 27\" Curvo", &["monitor 27 polegadas", "monitor 27\"", "monitor 27pol", "monitor 27''"]),
        ("Power Bank 10.000 mAh", &["power bank 10000mah", "10.000mAh"]),
        ("Caixa Organizadora 10x15x20 cm", &["caixa 10x15x20", "caixa 10 x 15 x 20cm", "caixa 20cm", "caixa 10×15×20 cm"]),
        ("Copo d'Água", &["copo d'água", "copo dagua", "copo de agua", "copo d´agua"]),
        ("Roteador Wi-Fi", &["roteador wifi", "roteador wi-fi", "roteadores wi fi"]),
        ("Fone Wifi", &["fone wi-fi"]),
        ("Whey+Creatina", &["whey", "creatina", "whey + creatina"]),
        ("Furadeira GSB-13", &["gsb13", "gsb 13", "gsb-13", "furadeira -13"]),
        ("Arroz Integral Tipo 1 - 5kg", &["arroz 5 kg", "arroz -5kg", "\"arroz integral\"", "arroz or feijao arroz | integral"]),
    ];
    fill(&shop, &TITLES.map(|(title, _)| title)).await;
    for (title, queries) in TITLES {
        for q in queries.iter().filter(|q| !q.contains(" or ")) {
            let found = found(&shop, q).await;
            assert_eq!(found.first().map(String::as_str), Some(title), "{q}: {found:?}");
        }
    }
    assert_eq!(found(&shop, "arroz -integral").await, ["Arroz Integral Tipo 1 - 5kg"], "a hyphen takes nothing out");
    empty(shop).await;
}

#[actix_web::test]
async fn the_demo_shop_finds_what_is_typed_and_each_title_finds_its_product_first() {
    let shop = Shop::open().await;
    seed::demo(&shop.app.config).await.unwrap();
    for name in ["Botão de Madrepérola", "Calça Jeans 38-40", "Lâmpada Led 110/220V", "Meia Esportiva 39/43"] {
        shop.product(name).create().await;
    }
    for (q, name) in [
        ("250g", "Café em Grãos Mogiana Paulista"),
        ("1kg", "Café Especial Torrado em Grãos – Sul de Minas"),
        ("copo 450ml", "Copo Térmico com Tampa 450 ml"),
        ("caneca 300ml", "Caneca de Cerâmica Artesanal 300 ml"),
        ("botões", "Botão de Madrepérola"),
        ("tenis branco", "Tênis Casual de Lona"),
        ("calça 40", "Calça Jeans 38-40"),
        ("lampada 220v", "Lâmpada Led 110/220V"),
        ("meia 43", "Meia Esportiva 39/43"),
    ] {
        let found = found(&shop, q).await;
        assert!(found.iter().any(|f| f == name), "{q}: {found:?}");
    }
    assert_eq!(found(&shop, "caneca 300ml").await, ["Caneca de Cerâmica Artesanal 300 ml"]);
    assert!(!found(&shop, "500ml").await.iter().any(|name| name.contains("500 Peças")));
    assert!(!found(&shop, "anéis de prata").await.iter().any(|name| name.contains("Cordão")));
    let titles: Vec<String> = shop.sql("SELECT array_agg(name::text) FROM products WHERE active").await;
    for title in &titles {
        for q in [title.clone(), title.to_uppercase(), without_accents(title)] {
            assert_eq!(found(&shop, &q).await.first(), Some(title), "{q}");
        }
    }
    shop.close().await;
}

#[actix_web::test]
async fn two_thousand_titles_find_their_own_product_first() {
    let shop = Shop::open().await;
    let mut random = Random(7);
    let mut titles: Vec<String> = generate(&mut random, 2_000).into_iter().map(|product| product.title).collect();
    titles.extend(["De", "Mais", "O Que É?", "★★★", "茶", "1.234,56", "A", "\"Entre Aspas\" Caneca", "-40°C"].map(str::to_owned));
    titles.push("Kit ".to_owned() + &"Camiseta 40/42 ".repeat(12));
    titles.iter_mut().for_each(|title| *title = title.trim().to_owned());
    fill(&shop, &titles.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for title in &titles {
        let found = names(&shop.get(&searching(title, 3)).await);
        assert_eq!(found.first(), Some(title), "{title}: {found:?}");
    }
    empty(shop).await;
}

/// `SEARCH_PRODUCTS=100000` asks the same queries of the whole catalog of the issue.
#[actix_web::test]
async fn what_a_customer_types_is_among_the_first_three_and_nearly_never_nothing() {
    const QUERIES: usize = 600;
    let count = std::env::var("SEARCH_PRODUCTS").ok().and_then(|n| n.parse().ok()).unwrap_or(10_000);
    let shop = Shop::open().await;
    let mut random = Random(11);
    let products = generate(&mut random, count);
    fill(&shop, &products.iter().map(|product| product.title.as_str()).collect::<Vec<_>>()).await;
    let (mut right, mut nothing, mut wrong) = (0, 0, Vec::new());
    for n in 0..QUERIES {
        let wanted: &Generated = &products[random.below(products.len())];
        let q = ask(&mut random, wanted, n);
        let found = names(&shop.get(&searching(&q, 3)).await);
        let fits = |name: &String| products.iter().any(|p| p.title == *name && wanted.fits(p, n));
        match found.iter().any(fits) {
            true => right += 1,
            false => wrong.push(format!("{q} ({}) → {found:?}", wanted.title)),
        }
        nothing += usize::from(found.is_empty());
    }
    let share = |n: usize| n as f64 * 100.0 / QUERIES as f64;
    println!(
        "{count} products, {QUERIES} queries: {:.1} % right in the first three, {:.1} % without a result",
        share(right),
        share(nothing)
    );
    for line in wrong.iter().take(40) {
        println!("  {line}");
    }
    assert!(share(right) >= 95.0 && share(nothing) < 2.0, "{right} right, {nothing} nothing: {wrong:#?}");
    empty(shop).await;
}

#[actix_web::test]
async fn synonyms_are_a_setting() {
    let shop = Shop::open().await;
    fill(&shop, &["Sapatênis Azul", "Celular Novo", "Mouse Pad Grande", "Tênis Verde"]).await;
    assert_eq!(found(&shop, "smartphone").await, Vec::<String>::new());
    let admin = shop.admin().await;
    let lists = json!({"synonyms": [["tênis", "Sapatênis"], ["celular", "smartphone"], ["mousepad", "mouse pad"]]});
    let set = admin.put("/api/admin/settings/search", &lists).await;
    assert_eq!((set.status, &set.body), (200, &lists));
    assert_eq!(admin.get("/api/admin/settings").await.body["search"], lists);
    assert_eq!(found(&shop, "smartphone").await, ["Celular Novo"]);
    assert_eq!(found(&shop, "tenis azul").await, ["Sapatênis Azul"]);
    assert_eq!(found(&shop, "mousepad grande").await, ["Mouse Pad Grande"]);
    for bad in [json!({"synonyms": [["um"]]}), json!({"synonyms": [["um", ""]]}), json!({})] {
        assert_eq!(admin.put("/api/admin/settings/search", &bad).await.status, 422, "{bad}");
    }
    empty(shop).await;
}

#[actix_web::test]
async fn people_and_orders_are_found_without_accents_and_in_any_case() {
    let shop = Shop::open().await;
    let shirt = shop.product("Camiseta").stock(5).create().await;
    let order = shop.buy_as_guest(&[(&shirt, 1)]).await.body;
    let number = order["number"].as_str().unwrap().to_owned();
    shop.execute("UPDATE orders SET customer_name = 'Ângela Conceição'").await;
    let admin = shop.admin().await;
    shop.execute("UPDATE users SET name = 'Ângela Conceição'").await;
    for q in ["Ângela", "ÂNGELA CONCEIÇÃO", "angela conceicao", "ANGELA", "ange"] {
        let q: String = form_urlencoded::byte_serialize(q.as_bytes()).collect();
        let orders = admin.get(&format!("/api/orders?q={q}")).await;
        assert_eq!((orders.status, &orders.body["items"][0]["number"]), (200, &json!(number)), "{q}: {}", orders.body);
        let people = admin.get(&format!("/api/admin/users?q={q}")).await;
        assert_eq!((people.status, &people.body["total"]), (200, &json!(1)), "{q}: {}", people.body);
    }
    for q in ["ão", "Ç", "zzz", "conceição%", "_ngela"] {
        let expected = usize::from(["ão", "Ç"].contains(&q));
        let found =
            admin.get(&format!("/api/admin/users?q={}", form_urlencoded::byte_serialize(q.as_bytes()).collect::<String>())).await;
        assert_eq!((found.status, &found.body["total"]), (200, &json!(expected)), "{q}: {}", found.body);
    }
    shop.close().await;
}

#[actix_web::test]
async fn the_search_for_people_reads_no_whole_table() {
    const MANY: &str = "
        INSERT INTO users (id, name, email) SELECT gen_random_uuid(), 'Pessoa ' || n, 'p' || n || '@example.com' FROM generate_series(1, 20000) n;
        ANALYZE users";
    let shop = Shop::open().await;
    shop.app.db().await.unwrap().batch_execute(MANY).await.unwrap();
    let file = Path::new("src/users/admin.rs").display();
    for (name, values) in
        [("COUNT_FOUND", "'%pessoa 123%', NULL, 10000"), ("LIST_FOUND", "'%pessoa 123%', NULL, NULL, NULL, 20, 0")]
    {
        for plan in plans(&shop, &statement(&format!("{file} {name}")), values).await {
            assert!(plan.contains("users_search") && !plan.contains("Seq Scan on users"), "{name}:\n{plan}");
        }
    }
    shop.close().await;
}

/// What is typed, as a query string has it.
fn typed(q: &str) -> String {
    form_urlencoded::byte_serialize(q.as_bytes()).collect()
}

#[actix_web::test]
async fn coupons_jobs_and_messages_are_found_without_accents_and_in_any_case() {
    let shop = Shop::open().await;
    let admin = shop.admin().await;
    for code in ["VERAO-10", "VERAO-20", "INVERNO"] {
        let made = admin.post("/api/admin/coupons", &json!({"code": code, "kind": "percent", "value": 10})).await;
        assert_eq!(made.status, 201, "{}", made.body);
    }
    shop.execute(
        "INSERT INTO jobs (id, kind, payload, state, max_attempts, last_error, cause, finished_at) VALUES
            (gen_random_uuid(), 'send_refund', '{}', 'dead', 5, 'Transação RECUSADA: saldo de 100% (à vista)', 't', now()),
            (gen_random_uuid(), 'mail_order_paid', '{}', 'done', 5, NULL, 't', now())",
    )
    .await;
    shop.execute(
        "INSERT INTO messages (id, event, kind, channel, recipient, subject, status, provider, provider_ref) VALUES
            (gen_random_uuid(), 'a', 'invoice', 'email', 'angela@example.com', 'Sua nota fiscal eletrônica – Café', 'sent', 'resend', 'r')",
    )
    .await;
    let total = async |list: &str, q: &str| {
        let found = admin.get(&format!("/api/admin/{list}q={}", typed(q))).await;
        assert_eq!(found.status, 200, "{list} {q}: {}", found.body);
        assert_eq!(found.body["items"].as_array().unwrap().len() as i64, found.body["total"].as_i64().unwrap(), "{list} {q}");
        found.body["total"].as_i64().unwrap()
    };
    for (q, count) in [("verão", 2), (" Verao-1 ", 1), ("VERÃO-", 2), ("erao", 0), ("i", 1), ("v_", 0), ("", 3)] {
        assert_eq!(total("coupons?", q).await, count, "{q}");
    }
    for (q, count) in [
        ("transacao recusada", 1),
        ("À VISTA", 1),
        ("100%", 1),
        ("10_%", 0),
        ("Send Refund", 1),
        ("SEND_REF", 1),
        ("mail order", 1),
        ("refund", 0),
    ] {
        assert_eq!(total("jobs?", q).await, count, "{q}");
    }
    assert_eq!(total("jobs?state=done&", "mail_order_paid").await, 1);
    assert_eq!((total("jobs?state=dead&", "mail_order_paid").await, total("jobs?kind=send_refund&", "transação").await), (0, 1));
    for (q, count) in
        [("ANGELA@", 1), ("Ângela", 1), ("eletronica", 1), ("ELETRÔNICA – CAFÉ", 1), ("ele_r", 0), ("example.com", 1)]
    {
        assert_eq!(total("messages?kind=invoice&", q).await, count, "{q}");
    }
    assert_eq!((total("messages?channel=sms&", "angela").await, total("messages?kind=invoice&", " ").await), (0, 1));
    for list in ["jobs", "messages"] {
        assert_eq!(admin.get(&format!("/api/admin/{list}?q=ab")).await.invalid_fields(), ["q"], "{list}");
    }
    shop.execute("DELETE FROM messages WHERE event = 'a'").await;
    shop.execute("DELETE FROM jobs WHERE cause = 't'").await;
    shop.close().await;
}

#[actix_web::test]
async fn the_search_for_coupons_jobs_messages_and_products_reads_no_whole_table() {
    const MANY: &str = "
        INSERT INTO coupons (id, code, kind, value) SELECT gen_random_uuid(), 'CUPOM' || n, 'fixed', 1 FROM generate_series(1, 20000) n;
        INSERT INTO jobs (id, kind, payload, state, max_attempts, last_error, cause, finished_at)
        SELECT gen_random_uuid(), 'kind_' || n % 40, '{}', CASE WHEN n % 10 = 0 THEN 'dead' ELSE 'done' END, 1, 'Recusado ' || n, 't', now()
          FROM generate_series(1, 20000) n;
        INSERT INTO messages (id, event, kind, channel, recipient, subject, status, provider, provider_ref)
        SELECT gen_random_uuid(), 'e' || n, 'invoice', 'email', 'p' || n || '@example.com', 'Nota fiscal ' || n, 'sent', 'resend', 'r' || n
          FROM generate_series(1, 20000) n;
        SELECT gin_clean_pending_list('products_search'); -- autovacuum's work after an import
        ANALYZE";
    let shop = Shop::open().await;
    let titles: Vec<String> = generate(&mut Random(3), 5_000).into_iter().map(|product| product.title).collect();
    fill(&shop, &titles.iter().map(String::as_str).collect::<Vec<_>>()).await;
    shop.app.db().await.unwrap().batch_execute(MANY).await.unwrap();
    let (coupons, jobs, messages) = ("src/coupons/store.rs", "src/admin/jobs.rs", "src/mail/desk.rs");
    let words = "'recusado 123', '\u{10ffff}', '%recusado 123%'";
    for (place, values, index) in [
        (format!("{coupons} LIST"), "'cupom123', '\u{10ffff}', NULL, 20, 0".to_owned(), "coupons_beginning"),
        (format!("{coupons} COUNT"), "'cupom123', '\u{10ffff}', 10000".to_owned(), "coupons_beginning"),
        (format!("{jobs} LIST_FOUND"), format!("NULL, NULL, {words}, NULL, 20, 0"), "jobs_kind"),
        (format!("{jobs} COUNT_FOUND"), format!("NULL, NULL, {words}, 10000"), "jobs_errors"),
        (
            format!("{messages} LIST_FOUND"),
            "NULL, NULL, NULL, NULL, '%nota fiscal 123%', NULL, 20, 0".to_owned(),
            "messages_search",
        ),
        (format!("{messages} COUNT_FOUND"), "NULL, NULL, NULL, NULL, '%nota fiscal 123%', 10000".to_owned(), "messages_search"),
    ] {
        for plan in plans(&shop, &statement(&place), &values).await {
            assert!(plan.contains(index) && !plan.contains("Seq Scan"), "{place}:\n{plan}");
        }
    }
    let db = shop.app.db().await.unwrap();
    let (wanted, title): (String, String) =
        (shop.sql("SELECT search_query('anel de prata')::text").await, shop.sql("SELECT search_title('anel de prata')").await);
    let mut looked_at = 0;
    for (sql, types) in vitrine::catalog::list_statements().unwrap() {
        if sql.contains("ts_rank") && types.len() == 4 {
            let asked: [&(dyn tokio_postgres::types::ToSql + Sync); 4] = [&wanted, &title, &"anel de prata", &"'zsanewl'"];
            let explain = db.prepare_typed(&format!("EXPLAIN {sql}"), &types).await.unwrap();
            let rows = db.query(&explain, &asked).await.unwrap();
            let plan: String = rows.iter().map(|row| row.get::<_, String>(0) + "\n").collect();
            assert!(plan.contains("products_search") && !plan.contains("Seq Scan on products"), "{sql}:\n{plan}");
            looked_at += 1;
        }
    }
    assert!(looked_at > 0);
    drop(db);
    shop.execute("TRUNCATE coupons CASCADE").await;
    shop.execute("TRUNCATE jobs, messages").await;
    empty(shop).await;
}
