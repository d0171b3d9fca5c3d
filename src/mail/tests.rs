use vitrine_africastalking::PART;
use vitrine_kit::Money;

use super::digest_text::{Digest, Entry};
use super::facts::{Address, Order, Refund, first_name, money, name_in, order_url};
use super::kind::Kind;
use super::samples::{self, at, item, order, paid, refund, shop};
use super::sms;
use super::templates::{Story, Templates, Words, one_line};
use crate::lang::Lang;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};

fn templates() -> &'static Templates {
    Templates::get().expect("sound templates")
}

fn render(kind: Kind, story: Story<'_>) -> Words {
    templates().render(kind, &story).expect("a full story")
}

fn about(kind: Kind, order: &Order) -> Words {
    render(kind, Story { lang: order.lang, shop: shop(), order: Some(order), ..Story::default() })
}

fn refunded(order: &Order, refund: &Refund) -> Words {
    render(Kind::Refunded, Story { shop: shop(), order: Some(order), refund: Some(refund), ..Story::default() })
}

fn alert(subject: &str, text: &str) -> Words {
    digest(&Digest { new: vec![samples::entry("job-dead:x", subject, text)], ..Digest::default() })
}

fn digest(digest: &Digest) -> Words {
    render(Kind::Alert, Story { shop: shop(), digest: Some(digest), ..Story::default() })
}

/// Subject and both parts, as they are sent.
fn assert_words(name: &str, words: &Words) {
    insta::assert_snapshot!(format!("{name}.txt"), format!("{}\n\n{}", words.subject, words.text));
    insta::assert_snapshot!(format!("{name}.html"), words.html);
}

#[test]
fn every_mail_reads_well_in_both_languages() {
    let templates = templates();
    for kind in Kind::ALL {
        for lang in Lang::ALL {
            let words = samples::words(templates, kind, lang).expect("a full story");
            assert_words(&format!("{}.{}", kind.word(), lang.as_str()), &words);
        }
    }
}

#[test]
fn an_order_that_is_paid_or_cancelled_by_now_asks_for_no_money() {
    let cancelled =
        Order { status: OrderStatus::Cancelled, payment_status: OrderPaymentStatus::Expired, awaits_payment: false, ..order() };
    for order in [paid(), Order { pix: None, ..cancelled }] {
        let words = about(Kind::OrderPlaced, &order);
        assert!(!words.text.contains("Pague") && !words.html.contains("Pagar"), "{}", words.text);
        assert!(words.text.contains("Veja o pedido:\nhttps://loja.test/pedidos/K7M2Q-X9RTA?token="), "{}", words.text);
    }
}

#[test]
fn a_cancellation_says_what_becomes_of_the_money() {
    let cancelled_at = Some(at("2025-11-21T18:00:00Z"));
    let returned = Order { status: OrderStatus::Cancelled, cancelled_at, ..paid() };
    assert_words("order_cancelled_after_payment", &about(Kind::OrderCancelled, &returned));
    let unpaid =
        Order { status: OrderStatus::Cancelled, payment_status: OrderPaymentStatus::Cancelled, awaits_payment: false, ..order() };
    let words = about(Kind::OrderCancelled, &Order { cancelled_at, pix: None, ..unpaid });
    assert!(words.text.contains("O pedido K7M2Q-X9RTA foi cancelado. Nada foi cobrado."), "{}", words.text);
}

#[test]
fn a_refund_says_how_much_and_where_to() {
    let card = refunded(&paid(), &refund(false, "credit_card"));
    assert!(card.text.contains("Estamos devolvendo R$ 10,00 referentes ao pedido K7M2Q-X9RTA.\nO valor aparece como crédito"));
    let otherwise = refunded(&paid(), &Refund { is_paid_otherwise: true, ..refund(true, "credit_card") });
    let said = "Devolvemos R$ 10,00 referentes ao pedido K7M2Q-X9RTA.\nO valor foi pago diretamente a você, por outro meio";
    assert!(otherwise.text.contains(said) && !otherwise.text.contains("cartão"), "{}", otherwise.text);
}

#[test]
fn the_subject_of_a_digest_names_its_most_severe_alert() {
    let called = |new, repeats, left| digest(&Digest { new, repeats, left }).subject;
    let refused = || Entry { count: 200, ..samples::entry("charge-refused:propay:401", "Cobrança recusada por propay", "") };
    let dispute =
        || Entry { orders: vec!["K7M2Q-X9RTA".into()], ..samples::entry("dispute-opened:dp_1", "Pagamento contestado", "") };
    let low = || Entry { severity: "info", ..samples::entry("low-stock:1", "Estoque baixo: 1 produto", "") };
    assert_eq!(called(vec![refused()], vec![], 0), "[Loja da Ana] Cobrança recusada por propay (200 vezes)");
    assert_eq!(called(vec![dispute()], vec![refused()], 0), "[Loja da Ana] Pagamento contestado – pedido K7M2Q-X9RTA");
    let several = "[Loja da Ana] 5 alertas, 1 crítico(s): Pagamento contestado – pedido K7M2Q-X9RTA";
    assert_eq!(called(vec![dispute(), low()], vec![], 3), several);
    assert_eq!(called(vec![low(), low()], vec![], 0), "[Loja da Ana] 2 alertas: Estoque baixo: 1 produto");
    assert_eq!(called(vec![], vec![refused()], 0), "[Loja da Ana] Resumo de alertas");
}

#[test]
fn names_are_text_and_never_markup() {
    let evil = r#"<script>alert("x")</script>'&"#;
    let address = Address { recipient: evil.into(), street: evil.into(), complement: Some(evil.into()), ..order().address };
    let items = vec![item(evil, Some(evil), 1, 100)];
    let coupon_code = Some(evil.into());
    let order = Order { first_name: evil.into(), carrier: evil.into(), address, items, coupon_code, ..order() };
    let words = about(Kind::OrderPlaced, &order);
    assert!(!words.html.contains("<script>") && !words.html.contains(r#"("x")"#), "{}", words.html);
    let escaped = "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;&#39;&amp;";
    assert_eq!(words.html.matches(escaped).count(), 8, "name, carrier, item, variant, coupon, and three of the address");
    assert!(words.text.contains(&format!("Olá, {evil}!")), "plain text shows it as it is");
    assert!(!alert(evil, evil).html.contains("<script>"));
}

#[test]
fn a_greeting_holds_a_short_first_name_and_never_a_link() {
    for (name, greeting) in [
        ("Ana Lima", "Ana"),
        (" D'Ávila ", "D'Ávila"),
        ("Sr. João", "Sr."),
        ("https://premio.example/ana Lima", ""),
        ("www.premio.example", ""),
        ("premio.example", ""),
        ("ana@premio.example", ""),
        ("", ""),
    ] {
        assert_eq!(first_name(name), greeting, "{name:?}");
    }
    assert_eq!(first_name(&"é".repeat(60)), "é".repeat(30));
}

#[test]
fn a_customers_link_carries_no_token() {
    let words = about(Kind::OrderPlaced, &Order { url: order_url("https://loja.test", "N", false), ..order() });
    assert!(!words.html.contains(super::TOKEN) && !words.text.contains(super::TOKEN), "a customer signs in: no token");
}

#[test]
fn no_subject_ends_early_or_runs_on() {
    let subject = alert("Pedido\r\nBcc: eve@evil.test\u{2028}X", "").subject;
    assert_eq!(subject, "[Loja da Ana] Pedido Bcc: eve@evil.test X");
    assert_eq!(one_line(&"ã".repeat(500)).chars().count(), 150);
}

#[test]
fn the_shop_is_called_as_its_mails_are() {
    for (from, name) in [
        ("Loja da Ana <oi@loja.test>", "Loja da Ana"),
        ("\"Ana & Bia\" <oi@loja.test>", "Ana & Bia"),
        ("oi@loja.test", "Vitrine"),
        ("<oi@loja.test>", "Vitrine"),
    ] {
        assert_eq!(name_in(from), name);
    }
}

#[test]
fn money_reads_as_each_language_writes_it() {
    let amount = Money::from_cents(123_456_789);
    assert_eq!(money(amount, Lang::Pt), "R$ 1.234.567,89");
    assert_eq!(money(amount, Lang::En), "R$ 1,234,567.89");
}

#[test]
fn a_text_is_one_part_of_ascii_whatever_goes_into_it() {
    let shipped = samples::shipped();
    let long = Order {
        number: "K7M2Q-X9RTA".into(),
        carrier: "Transportadora São José do Rio Preto & Irmãos Ltda.".into(),
        tracking_number: Some("X".repeat(60)),
        tracking_url: format!("https://{}.com.br/tracking/K7M2Q-X9RTA", "loja".repeat(25)),
        ..samples::shipped()
    };
    let shop = "Empório das Maçãs & Pães de Açúcar da Conceição";
    for order in [shipped, long] {
        for lang in Lang::ALL {
            for kind in [Kind::OrderPaid, Kind::OrderShipped] {
                let text = sms::words(kind, shop, &Order { lang, ..clone(&order) });
                assert!(text.len() <= PART && text.is_ascii(), "{text}");
                assert!(text.contains("K7M2Q-X9RTA"), "{text}");
                assert!(!text.contains("https") || text.ends_with("/tracking/K7M2Q-X9RTA"), "no link is cut: {text}");
            }
        }
    }
    let text = sms::words(Kind::OrderShipped, "Loja da Ana", &samples::shipped());
    let url = "https://api.loja.test/tracking/K7M2Q-X9RTA";
    assert_eq!(text, format!("Loja da Ana: pedido K7M2Q-X9RTA enviado por Correios, rastreio AB123456785BR. Acompanhe: {url}"));
}

fn clone(order: &Order) -> Order {
    let (number, carrier, tracking_url) = (order.number.clone(), order.carrier.clone(), order.tracking_url.clone());
    Order { number, carrier, tracking_number: order.tracking_number.clone(), tracking_url, ..samples::shipped() }
}
