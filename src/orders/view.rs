//! An order as its buyer, the shop and the answers see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::currency::Currency;
use crate::db::sql;
use crate::error::Result;
use crate::ids::{LineId, OrderId, ProductId, VariantId};
use crate::payments::charge::methods::Method;
use crate::sale::address::{ShippingAddress, tracking_url};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};

/// A line of an order, as it was sold.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    /// The line.
    pub id: LineId,
    /// The product.
    pub product_id: ProductId,
    /// The variant.
    pub variant_id: VariantId,
    /// The SKU of the variant.
    #[schema(example = "CAM-AZUL-M")]
    pub sku: String,
    /// The product's name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// The variant's name; empty for a product with one variant.
    #[schema(example = "M")]
    pub variant_name: String,
    /// Its picture; null: it has none.
    #[schema(required = true, example = "https://cdn.loja.example/camiseta-azul.jpg")]
    pub image_url: Option<String>,
    /// How many pieces.
    #[schema(minimum = 0, example = 2)]
    pub quantity: i32,
    /// The price of one piece, in centavos.
    #[schema(value_type = i64, minimum = 0, example = 5990)]
    pub unit_price_cents: Money,
    /// The price of all pieces, in centavos, before the discount.
    #[schema(value_type = i64, example = 11980, minimum = 0)]
    pub line_total_cents: Money,
    /// This line's share of the order's discount.
    #[schema(value_type = i64, example = 1198, minimum = 0)]
    pub discount_cents: Money,
}

/// An order. Money in centavos, times in UTC.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderView {
    /// The order's id.
    pub id: OrderId,
    /// The number for people; it also opens the public tracking page.
    #[schema(example = "0A1B2-C3D4E")]
    pub number: String,
    /// How far it is.
    pub status: OrderStatus,
    /// What became of its money.
    pub payment_status: OrderPaymentStatus,
    /// Money is on its way back to the buyer; the amounts stand in the order's payments.
    pub refund_pending: bool,
    /// A refund of all its money failed: nothing is sent until the shop says that the sale goes on.
    pub on_hold: bool,
    /// How it is paid; null: not chosen yet.
    #[schema(value_type = Option<Method>, required = true)]
    pub payment_method: Option<String>,
    /// The lines.
    pub items: Vec<OrderLine>,
    /// The sum of the lines, in centavos.
    #[schema(value_type = i64, example = 11980, minimum = 0)]
    pub subtotal_cents: Money,
    /// What coupon and method of payment take off, in centavos.
    #[schema(value_type = i64, example = 1198, minimum = 0)]
    pub discount_cents: Money,
    /// The part of the discount that is for the method of payment.
    #[schema(value_type = i64, example = 0, minimum = 0)]
    pub method_discount_cents: Money,
    /// The freight, in centavos.
    #[schema(value_type = i64, example = 1850, minimum = 0)]
    pub shipping_cents: Money,
    /// What is to be paid: subtotal less discount, and freight.
    #[schema(value_type = i64, example = 12632, minimum = 0)]
    pub total_cents: Money,
    /// The currency of all amounts, by ISO 4217: `BRL`.
    pub currency: Currency,
    /// The coupon that it was placed with; null: none.
    #[schema(example = "BEMVINDO10", required = true)]
    pub coupon_code: Option<String>,
    /// The buyer's name.
    #[schema(example = "Ana Souza")]
    pub customer_name: String,
    /// The buyer's e-mail; null once the buyer was erased.
    #[schema(example = "ana@example.com", required = true)]
    pub customer_email: Option<String>,
    /// The inscrição estadual of a company: digits, or `ISENTO`; null: none.
    #[schema(example = "ISENTO", required = true)]
    pub state_registration: Option<String>,
    /// Where it goes.
    #[schema(value_type = ShippingAddress)]
    pub shipping_address: serde_json::Value,
    /// The carrier's service, as the buyer reads it: `PAC`.
    #[schema(example = "PAC")]
    pub carrier: String,
    /// Who carries it: `Correios`; for pickup the shop's address.
    #[schema(example = "Correios")]
    pub service: String,
    /// Working days from posting.
    #[schema(example = 7, minimum = 0)]
    pub delivery_days: i32,
    /// The freight was an estimate from past quotes.
    pub freight_estimate: bool,
    /// The carrier's number of the parcel; null: not yet known.
    #[schema(required = true, example = "AA123456785BR")]
    pub tracking_number: Option<String>,
    /// Public: opens without signing in, and shows no person and no price.
    #[schema(format = "uri")]
    pub tracking_url: String,
    /// What the buyer wrote; null: nothing.
    #[schema(example = "Deixar na portaria", required = true)]
    pub notes: Option<String>,
    /// When an unpaid order expires and its stock is free again.
    pub expires_at: Timestamp,
    /// When it was paid; null: not yet.
    #[schema(required = true)]
    pub paid_at: Option<Timestamp>,
    /// When it left the shop; null: not yet.
    #[schema(required = true)]
    pub shipped_at: Option<Timestamp>,
    /// When it arrived; null: not yet.
    #[schema(required = true)]
    pub delivered_at: Option<Timestamp>,
    /// When it was cancelled; null: it was not.
    #[schema(required = true)]
    pub cancelled_at: Option<Timestamp>,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was last changed.
    pub updated_at: Timestamp,
}

/// Of an order `o`: it waits for an administrator, because a refund of all its money failed.
pub const IS_ON_HOLD: &str = "(o.on_hold AND o.status IN ('processing', 'shipped'))";

/// The columns that [`OrderView::from_row`] reads, of `orders o`.
pub const COLUMNS: &str = sql!(
    "o.id, o.number, o.status, o.payment_status,
    EXISTS (SELECT FROM refunds r WHERE r.order_id = o.id AND r.status NOT IN ('done', 'failed')) AS refund_pending,
 ",
    IS_ON_HOLD,
    " AS on_hold, o.payment_method, o.subtotal_cents, o.discount_cents, o.method_discount_cents, o.shipping_cents,
    o.total_cents, o.coupon_code, o.customer_name, o.customer_email, o.state_registration, o.shipping_address, o.carrier, o.service, o.delivery_days,
    o.freight_estimate, o.tracking_number, o.notes, o.expires_at, o.paid_at, o.shipped_at, o.delivered_at, o.cancelled_at, o.created_at, o.updated_at"
);

impl OrderView {
    pub fn from_row(row: &Row, items: Vec<OrderLine>, public_url: &str) -> Result<Self> {
        let number: String = row.get("number");
        Ok(Self {
            id: row.get("id"),
            tracking_url: tracking_url(public_url, &number),
            number,
            status: row.try_get("status")?,
            payment_status: row.try_get("payment_status")?,
            refund_pending: row.get("refund_pending"),
            on_hold: row.get("on_hold"),
            payment_method: row.get("payment_method"),
            items,
            subtotal_cents: row.get("subtotal_cents"),
            discount_cents: row.get("discount_cents"),
            method_discount_cents: row.get("method_discount_cents"),
            shipping_cents: row.get("shipping_cents"),
            total_cents: row.get("total_cents"),
            currency: Currency::Brl,
            coupon_code: row.get("coupon_code"),
            customer_name: row.get("customer_name"),
            customer_email: row.get("customer_email"),
            state_registration: row.get("state_registration"),
            shipping_address: row.get("shipping_address"),
            carrier: row.get("carrier"),
            service: row.get("service"),
            delivery_days: row.get("delivery_days"),
            freight_estimate: row.get("freight_estimate"),
            tracking_number: row.get("tracking_number"),
            notes: row.get("notes"),
            expires_at: row.get("expires_at"),
            paid_at: row.get("paid_at"),
            shipped_at: row.get("shipped_at"),
            delivered_at: row.get("delivered_at"),
            cancelled_at: row.get("cancelled_at"),
            created_at: row.get("created_at"),
            updated_at: row.get("updated_at"),
        })
    }
}

impl OrderLine {
    pub fn from_row(row: &Row) -> Self {
        Self {
            id: row.get("id"),
            product_id: row.get("product_id"),
            variant_id: row.get("variant_id"),
            sku: row.get("sku"),
            name: row.get("name"),
            variant_name: row.get("variant_name"),
            image_url: row.get("image_url"),
            quantity: row.get("quantity"),
            unit_price_cents: row.get("unit_price_cents"),
            line_total_cents: row.get("line_total_cents"),
            discount_cents: row.get("discount_cents"),
        }
    }
}
