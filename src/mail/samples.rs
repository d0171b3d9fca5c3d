//! Sample data for each kind of message, for the preview and the tests.

use jiff::Timestamp;
use uuid::Uuid;
use vitrine_kit::Money;

use super::account::{email_url, privacy_url};
use super::digest_text::{Digest, Entry};
use super::facts::{Account, Address, Invoice, Item, Order, Pix, Refund, Reset, Shop, invoice_urls, order_url, reset_url};
use super::kind::Kind;
use super::notice::Notice;
use super::templates::{Story, Templates, Words};
use crate::error::Result;
use crate::ids::{OrderId, RefundId, UserId};
use crate::lang::Lang;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};

const SHOP: &str = "https://loja.test";
const API: &str = "https://api.loja.test";
const NUMBER: &str = "K7M2Q-X9RTA";

pub fn at(time: &str) -> Timestamp {
    time.parse().expect("the times of the samples are written out below")
}

pub fn shop() -> Shop {
    Shop { name: "Loja da Ana".into(), url: SHOP.into() }
}

pub fn item(name: &str, variant: Option<&str>, quantity: i32, cents: i64) -> Item {
    Item { name: name.into(), variant: variant.map(str::to_owned), quantity, total_cents: Money::from_cents(cents) }
}

/// A guest's order that waits for its PIX.
pub fn order() -> Order {
    Order {
        id: OrderId(Uuid::nil()),
        user: None,
        recipient: Some("ana@example.com".into()),
        lang: Lang::Pt,
        texts_to: None,
        number: NUMBER.into(),
        first_name: "Ana".into(),
        status: OrderStatus::Pending,
        payment_status: OrderPaymentStatus::PendingPayment,
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
        url: order_url(SHOP, NUMBER, true),
        tracking_url: format!("{API}/tracking/{NUMBER}"),
        created_at: at("2025-11-21T17:05:00Z"),
        expires_at: at("2025-11-21T17:40:00Z"),
        paid_at: None,
        delivered_at: None,
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

pub fn paid() -> Order {
    let (status, payment_status) = (OrderStatus::Processing, OrderPaymentStatus::Paid);
    Order { status, payment_status, awaits_payment: false, paid_at: Some(at("2025-11-21T17:12:30Z")), pix: None, ..order() }
}

pub fn shipped() -> Order {
    Order { status: OrderStatus::Shipped, tracking_number: Some("AB123456785BR".into()), ..paid() }
}

pub fn refund(is_done: bool, method: &str) -> Refund {
    let (id, amount_cents) = (RefundId(Uuid::nil()), Money::from_cents(1_000));
    Refund { id, amount_cents, is_done, has_failed: false, is_paid_otherwise: false, method: method.into() }
}

fn invoice() -> Invoice {
    let (danfe_url, xml_url) = invoice_urls(API, OrderId(Uuid::nil()));
    Invoice {
        number: "123".into(),
        series: "1".into(),
        chave: "3526 1011 2223 3300 0181 5500 1000 0001 2314 8151 6233".into(),
        total_cents: Money::from_cents(115_052),
        danfe_url,
        xml_url,
    }
}

/// A digest: a provider that refuses the shop's key, a dispute, and an alert of yesterday that still occurs.
pub fn digest() -> Digest {
    let refused = Entry {
        count: 200,
        last_at: at("2025-11-21T17:06:20Z"),
        orders: vec![NUMBER.into(), "H4JTW-PX3CD".into()],
        ..entry("provider-refuses-us:propay", "propay não aceita as credenciais da loja", "A chave foi recusada (401).")
    };
    let dispute = Entry {
        orders: vec![NUMBER.into()],
        ..entry("dispute-opened:dp_1", "Pagamento contestado", "O pagamento foi contestado (fraudulent): 115052 centavos.")
    };
    let again = Entry {
        severity: "warning",
        count: 41,
        since_told: 40,
        first_at: at("2025-11-20T11:00:00Z"),
        last_at: at("2025-11-20T23:10:00Z"),
        ..entry("job-dead:mail_order_paid:resend refused the request (422)", "Tarefa parada: mail_order_paid", "")
    };
    Digest { new: vec![refused, dispute], repeats: vec![again], left: 3 }
}

/// A critical alert that occurred once.
pub fn entry(key: &str, subject: &str, text: &str) -> Entry {
    let met = at("2025-11-21T17:05:00Z");
    Entry {
        severity: "critical",
        key: key.into(),
        subject: subject.into(),
        text: text.into(),
        orders: Vec::new(),
        count: 1,
        since_told: 1,
        first_at: met,
        last_at: met,
    }
}

/// A mail of this kind, in this language, about these facts.
pub fn words(templates: &Templates, kind: Kind, lang: Lang) -> Result<Words> {
    let order = match kind {
        Kind::OrderPaid | Kind::Refunded | Kind::Invoice => paid(),
        Kind::OrderShipped => shipped(),
        Kind::OrderDelivered => {
            Order { status: OrderStatus::Delivered, delivered_at: Some(at("2025-11-28T14:20:00Z")), ..shipped() }
        }
        Kind::OrderCancelled => Order {
            status: OrderStatus::Cancelled,
            payment_status: OrderPaymentStatus::Expired,
            awaits_payment: false,
            cancelled_at: Some(at("2025-11-21T17:40:02Z")),
            pix: None,
            ..order()
        },
        _ => order(),
    };
    let (first_name, recipient) = ("Ana".to_owned(), "ana@example.com".to_owned());
    let account = Account { recipient: recipient.clone(), lang, first_name: first_name.clone() };
    let (recipient_of_notice, first_name_of_notice) = (recipient.clone(), first_name.clone());
    let (url, expires_at) = (reset_url(SHOP), at("2025-11-21T18:05:00Z"));
    let reset = Reset { user: UserId(Uuid::nil()), recipient, lang, first_name, url, expires_at };
    let notice = Notice {
        user: None,
        recipient: recipient_of_notice,
        lang,
        first_name: first_name_of_notice,
        url: match kind {
            Kind::EmailConfirm => email_url(SHOP),
            Kind::PrivacyRequest => privacy_url(SHOP),
            _ => SHOP.to_owned(),
        },
        at: Some(at("2025-11-21T17:05:00Z")),
        expires_at: Some(at("2025-11-21T18:05:00Z")),
        new_email: Some("n***@example.com".to_owned()),
    };
    let story = Story {
        lang,
        shop: shop(),
        account: Some(&account),
        order: Some(&order),
        refund: Some(&refund(true, "pix")),
        reset: Some(&reset),
        notice: Some(&notice),
        invoice: Some(&invoice()),
        digest: Some(&digest()),
    };
    templates.render(kind, &story)
}
