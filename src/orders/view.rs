//! An order as its buyer, the shop and the answers see it.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio_postgres::Row;
use utoipa::ToSchema;
use vitrine_kit::Money;

use crate::db::sql;
use crate::error::Result;
use crate::ids::{LineId, OrderId, ProductId, VariantId};
use crate::sale::address::tracking_url;
use crate::sale::states::{OrderPaymentStatus, OrderStatus};

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OrderLine {
    pub id: LineId,
    pub product_id: ProductId,
    pub variant_id: VariantId,
    pub sku: String,
    pub name: String,
    pub variant_name: String,
    pub image_url: Option<String>,
    pub quantity: i32,
    #[schema(value_type = i64)]
    pub unit_price_cents: Money,
    #[schema(value_type = i64)]
    pub line_total_cents: Money,
    /// This line's share of the order's discount.
    #[schema(value_type = i64)]
    pub discount_cents: Money,
}

/// Money in centavos, times in UTC.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct OrderView {
    pub id: OrderId,
    /// The number for people; it also opens the public tracking page.
    pub number: String,
    pub status: OrderStatus,
    pub payment_status: OrderPaymentStatus,
    /// Money is on its way back to the buyer; the amounts stand in the order's payments.
    pub refund_pending: bool,
    /// A refund of all its money failed: nothing is sent until the shop says that the sale goes on.
    pub on_hold: bool,
    pub payment_method: Option<String>,
    pub items: Vec<OrderLine>,
    #[schema(value_type = i64)]
    pub subtotal_cents: Money,
    #[schema(value_type = i64)]
    pub discount_cents: Money,
    /// The part of the discount that is for the method of payment.
    #[schema(value_type = i64)]
    pub method_discount_cents: Money,
    #[schema(value_type = i64)]
    pub shipping_cents: Money,
    #[schema(value_type = i64)]
    pub total_cents: Money,
    pub currency: &'static str,
    pub coupon_code: Option<String>,
    pub customer_name: String,
    pub customer_email: Option<String>,
    /// Of a company: digits, or `ISENTO`.
    pub state_registration: Option<String>,
    pub shipping_address: serde_json::Value,
    pub carrier: String,
    pub service: String,
    /// Working days from posting.
    pub delivery_days: i32,
    /// The freight was an estimate from past quotes.
    pub freight_estimate: bool,
    pub tracking_number: Option<String>,
    /// Public: opens without signing in, and shows no person and no price.
    pub tracking_url: String,
    pub notes: Option<String>,
    /// When an unpaid order expires and its stock is free again.
    pub expires_at: Timestamp,
    pub paid_at: Option<Timestamp>,
    pub shipped_at: Option<Timestamp>,
    pub delivered_at: Option<Timestamp>,
    pub cancelled_at: Option<Timestamp>,
    pub created_at: Timestamp,
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
            currency: "BRL",
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
