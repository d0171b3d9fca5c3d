use jiff::Timestamp;
use vitrine_kit::Money;

use super::facts::{Address, Item, Order, Pix, Refund, Reset, Shop, name_in, order_url, reset_url};
use super::templates::{Alert, Kind, Story, Templates, Words, one_line};
use crate::ids::{OrderId, RefundId, UserId};

fn at(time: &str) -> Timestamp {
    time.parse().expect("a time")
}

fn shop() -> Shop {
    Shop { name: "Loja da Ana".into(), url: "https://loja.test".into() }
}

fn item(name: &str, variant: Option<&str>, quantity: i32, cents: i64) -> Item {
    Item { name: name.into(), variant: variant.map(str::to_owned), quantity, total_cents: Money::from_cents(cents) }
}

/// A guest's order that waits for its PIX.
fn order() -> Order {
    Order {
        id: OrderId(uuid::Uuid::nil()),
        user: None,
        recipient: Some("ana@example.com".into()),
        number: "K7M2-QX9RTA".into(),
        first_name: "Ana".into(),
        status: "pending".into(),
        payment_status: "pending_payment".into(),
        awaits_payment: true,
        subtotal_cents: Money::from_cents(125_780),
        discount_cents: Money::from_cents(12_578),
        shipping_cents: Money::from_cents(1_850),
        total_cents: Money::from_cents(115_052),
        coupon_code: Some("BEMVINDA10".into()),
        address: Address {
            recipient: "Ana Clara Silva".into(),
            cep: "01310-100".into(),
            street: "Avenida Paulista".into(),
            number: "1000".into(),
            complement: Some("apto. 42".into()),
            district: "Bela Vista".into(),
            city: "São Paulo".into(),
            state: "SP".into(),
        },
        carrier: "Correios".into(),
        service: "PAC".into(),
        delivery_days: 7,
        tracking_number: None,
        url: order_url("https://loja.test", "K7M2-QX9RTA", true),
        tracking_url: "https://api.loja.test/tracking/K7M2-QX9RTA".into(),
        created_at: at("2025-11-21T17:05:00Z"),
        expires_at: at("2025-11-21T17:35:00Z"),
        paid_at: None,
        cancelled_at: None,
        items: vec![
            item("Cafeteira Espresso 20 bar", None, 1, 99_900),
            item("Camiseta de Algodão Orgânico", Some("Azul-marinho, M"), 2, 17_980),
            item("Café Especial do Sul de Minas", Some("Em grãos, 500 g"), 1, 7_900),
        ],
        pix: Some(Pix {
            copy_paste: "00020126580014br.gov.bcb.pix0136123e4567-e12b-12d1-a456-426655440000520400005303986540710.005802BR5913\
                         Loja da Ana6009Sao Paulo62070503***63041D3D"
                .into(),
            expires_at: at("2025-11-21T17:35:00Z"),
        }),
    }
}

fn paid() -> Order {
    let (status, payment_status) = ("processing".into(), "paid".into());
    Order { status, payment_status, awaits_payment: false, paid_at: Some(at("2025-11-21T17:12:30Z")), pix: None, ..order() }
}

fn render(kind: Kind, subject: &str, story: Story<'_>) -> Words {
    Templates::new().expect("sound templates").render(kind, subject, &story).expect("a full story")
}

fn about(kind: Kind, order: &Order) -> Words {
    render(kind, &kind.subject_of(&order.number), Story { shop: shop(), order: Some(order), ..Story::default() })
}

fn refunded(order: &Order, refund: &Refund) -> Words {
    let story = Story { shop: shop(), order: Some(order), refund: Some(refund), ..Story::default() };
    render(Kind::Refunded, "Reembolso de R$ 10,00 – pedido K7M2-QX9RTA", story)
}

fn refund(is_done: bool, method: &str) -> Refund {
    Refund {
        id: RefundId(uuid::Uuid::nil()),
        amount_cents: Money::from_cents(1_000),
        is_done,
        has_failed: false,
        method: method.into(),
    }
}

fn alert(title: &str, text: &str) -> Words {
    render(Kind::Alert, title, Story { shop: shop(), alert: Some(Alert { title, text }), ..Story::default() })
}

/// Subject and both parts, as they are sent.
macro_rules! assert_mail {
    ($name:literal, $words:expr) => {
        let words = $words;
        insta::assert_snapshot!(concat!($name, ".txt"), format!("{}\n\n{}", words.subject, words.text));
        insta::assert_snapshot!(concat!($name, ".html"), words.html);
    };
}

#[test]
fn an_order_is_confirmed_with_how_to_pay_for_it() {
    assert_mail!("order_placed", about(Kind::OrderPlaced, &order()));
}

#[test]
fn an_order_that_is_paid_or_cancelled_by_now_asks_for_no_money() {
    let cancelled = Order { status: "cancelled".into(), payment_status: "expired".into(), awaits_payment: false, ..order() };
    for order in [paid(), Order { pix: None, ..cancelled }] {
        let words = about(Kind::OrderPlaced, &order);
        assert!(!words.text.contains("Pague") && !words.html.contains("Pagar"), "{}", words.text);
        assert!(words.text.contains("Veja o pedido:\nhttps://loja.test/pedidos/K7M2-QX9RTA?token="), "{}", words.text);
    }
}

#[test]
fn a_payment_is_confirmed() {
    assert_mail!("order_paid", about(Kind::OrderPaid, &paid()));
}

#[test]
fn a_shipment_is_told_with_its_tracking_number() {
    let shipped = Order { status: "shipped".into(), tracking_number: Some("AB123456789BR".into()), ..paid() };
    assert_mail!("order_shipped", about(Kind::OrderShipped, &shipped));
}

#[test]
fn a_cancellation_says_what_becomes_of_the_money() {
    let cancelled_at = Some(at("2025-11-21T18:00:00Z"));
    let expired = Order { status: "cancelled".into(), payment_status: "expired".into(), awaits_payment: false, ..order() };
    assert_mail!("order_expired", about(Kind::OrderCancelled, &Order { cancelled_at, pix: None, ..expired }));
    let returned = Order { status: "cancelled".into(), cancelled_at, ..paid() };
    assert_mail!("order_cancelled", about(Kind::OrderCancelled, &returned));
    let unpaid = Order { status: "cancelled".into(), payment_status: "cancelled".into(), awaits_payment: false, ..order() };
    let words = about(Kind::OrderCancelled, &Order { cancelled_at, pix: None, ..unpaid });
    assert!(words.text.contains("O pedido K7M2-QX9RTA foi cancelado. Nada foi cobrado."), "{}", words.text);
}

#[test]
fn a_refund_says_how_much_and_where_to() {
    assert_mail!("refunded", refunded(&paid(), &refund(true, "pix")));
    let card = refunded(&paid(), &refund(false, "credit_card"));
    assert!(card.text.contains("Estamos devolvendo R$ 10,00 referentes ao pedido K7M2-QX9RTA.\nO valor aparece como crédito"));
}

#[test]
fn a_password_reset_has_its_link_and_its_hour() {
    let (user, recipient) = (UserId(uuid::Uuid::nil()), "ana@example.com".into());
    let (url, expires_at) = (reset_url("https://loja.test"), at("2025-11-21T18:05:00Z"));
    let reset = Reset { user, recipient, first_name: "Ana".into(), url, expires_at };
    let story = Story { shop: shop(), reset: Some(&reset), ..Story::default() };
    assert_mail!("password_reset", render(Kind::PasswordReset, "Redefina sua senha – Loja da Ana", story));
}

#[test]
fn an_operator_reads_what_is_wrong() {
    assert_mail!("alert", alert("Tarefa parada: send_refund", "A tarefa 0192 parou depois de 60 tentativa(s):\npropay refused"));
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
fn a_customers_link_carries_no_token() {
    let words = about(Kind::OrderPlaced, &Order { url: order_url("https://loja.test", "N", false), ..order() });
    assert!(!words.html.contains(super::TOKEN) && !words.text.contains(super::TOKEN), "a customer signs in: no token");
}

#[test]
fn no_subject_ends_early_or_runs_on() {
    assert_eq!(alert("Pedido\r\nBcc: eve@evil.test\u{2028}X", "").subject, "Pedido Bcc: eve@evil.test X");
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
