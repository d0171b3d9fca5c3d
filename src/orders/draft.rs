//! The order that a checkout will write: buyer, address, lines, prices, discount and freight.

use jiff::{SignedDuration, Timestamp};
use tokio_postgres::Row;
use vitrine_kit::Money;
use vitrine_kit::pix::Payer;

use super::buyer::{check_state, customer, customer_address};
use super::limits::{self, OrderLimits, Unpaid};
use super::lines::{check_for_sale, order_lines, subtotal, too_much, units};
use super::place::{Asked, Contact, PlaceOrder};
use super::read::Read;
use super::shown;
use super::view::{OrderLine, OrderView};
use crate::app::App;
use crate::coupons::Coupon;
use crate::currency::Currency;
use crate::error::{Error, Result};
use crate::ids::{CartId, CouponId, OrderId, UserId, VariantId};
use crate::invoices::readiness::{Door, Unready};
use crate::lang::Lang;
use crate::payments::charge::first::{self, FirstCharge};
use crate::payments::charge::methods::{Method, Methods};
use crate::sale::address::{ShippingAddress, tracking_url};
use crate::sale::states::{OrderPaymentStatus, OrderStatus};
use crate::seal::Sealed;
use crate::shipping::{Free, Quote};
use crate::tax::registration::StateRegistration;

/// How long an unpaid order keeps its stock after its charge has expired, for a PIX that was paid in the last second.
pub const GRACE: SignedDuration = SignedDuration::from_mins(5);
/// A charge that is asked for with the order begins somewhat later, when its provider has made it: the order need not be changed for that.
const CHARGE_BEGINS: SignedDuration = SignedDuration::from_secs(15);

/// The order with every price fixed, before it is written.
pub(super) struct Draft {
    pub(super) id: OrderId,
    pub(super) number: String,
    pub(super) user: Option<UserId>,
    pub(super) cart: CartId,
    pub(super) cart_has_coupon: bool,
    pub(super) placed_at: Timestamp,
    pub(super) contact: Contact,
    pub(super) sealed: Sealed,
    pub(super) registration: Option<StateRegistration>,
    /// The buyer's document by every look-up key, the one in `sealed` first.
    pub(super) persons: Vec<Vec<u8>>,
    pub(super) person_to_lock: Vec<u8>,
    pub(super) limits: OrderLimits,
    /// The sum over all lines.
    pub(super) units: i32,
    /// The client's address, hashed. Kept only while the order is unpaid, and only if unpaid orders are counted by address.
    pub(super) placed_from: Option<Vec<u8>>,
    pub(super) address: ShippingAddress,
    /// A line that could not be invoiced now, sold all the same.
    pub(super) unready: Option<Unready>,
    pub(super) lines: Vec<OrderLine>,
    pub(super) subtotal: Money,
    pub(super) coupon_discount: Money,
    /// The discount of the chosen method on the goods, after the coupon.
    pub(super) method_discount: Money,
    pub(super) shipping: Money,
    pub(super) total: Money,
    pub(super) quote: Quote,
    /// Why the freight is free.
    pub(super) free: Option<Free>,
    pub(super) coupon: Option<(CouponId, String)>,
    pub(super) method: Option<&'static str>,
    pub(super) notes: Option<String>,
    /// The language of messages about it.
    pub(super) lang: Lang,
    /// Whether a guest wants SMS. For a customer the account says so.
    pub(super) sms_opt_in: bool,
    pub(super) privacy_version: Option<String>,
    /// When the buyer of an unpaid PIX is reminded: after two thirds of its time.
    pub(super) remind_at: Timestamp,
    pub(super) expires_at: Timestamp,
    /// The charge that is asked for as soon as the order stands.
    pub(super) first_charge: Option<FirstCharge>,
}

impl Draft {
    pub(super) fn price(app: &App, asked: &Asked<'_>, new: &PlaceOrder, read: &Read) -> Result<Self> {
        let Asked { owner, spoken, .. } = *asked;
        let cart = read.cart.as_ref().filter(|_| !read.lines.is_empty()).ok_or(Error::CartEmpty)?;
        let now: Timestamp = cart.get("now");
        let (contact, address) = match &read.buyer {
            Some(row) => (customer(app, new, row)?, customer_address(new, row)?),
            None => {
                let contact = new.guest()?;
                let address = new.address.as_ref().ok_or_else(|| Error::field("address", "is required of a guest"))?;
                let address = address.to_shipping(&contact.name)?;
                (contact, address)
            }
        };
        check_state(&address)?;
        check_for_sale(&read.lines)?;
        shown::check_lines(&read.lines)?;
        let unready = check_ready(app, cart, &read.lines)?;
        let quote = Quote::open(&app.keys, &new.quote_token, now)?;
        let wanted: Vec<(VariantId, i32)> = read.lines.iter().map(|row| (row.get("variant_id"), row.get("quantity"))).collect();
        quote.fits(&wanted, &address.cep)?;
        let limits = OrderLimits::read(cart.get(limits::NAME), app.config.limits.global.is_some());
        let units = units(&wanted, &read.lines, &limits)?;
        let subtotal = subtotal(&read.lines)?;
        let Applied { coupon, discount: coupon_discount, frees_shipping } = apply_coupon(new, read.coupon(new), subtotal, now)?;
        if read.is_as_shown(new) {
            shown::check_goods(cart, &read.lines, subtotal, coupon_discount)?;
        }
        let goods = subtotal.checked_sub(coupon_discount).unwrap_or_default();
        let by_method = new.method().map(|method| (method, Methods::read(cart.get("payment_methods"))));
        let method_discount = by_method.as_ref().map_or(Money::ZERO, |(method, offers)| offers.discount(*method, goods));
        let discount = coupon_discount.checked_add(method_discount).ok_or_else(too_much)?;
        let (shipping, free) = quote.charge(goods, frees_shipping)?;
        let coupon = coupon.filter(|_| !frees_shipping || free == Some(Free::Coupon)); // it is not spent for nothing
        let total = subtotal.checked_sub(discount).and_then(|m| m.checked_add(shipping)).ok_or_else(too_much)?;
        shown::check_expected(new.expected_total_cents, total)?;
        check_amount(by_method.as_ref(), total)?;
        let time_to_pay = SignedDuration::try_from(app.config.pix.expiry).unwrap_or(SignedDuration::from_mins(30));
        let (id, number) = (OrderId::new(), order_number());
        let charge = first::Asked { order: id, number: &number, total, method_discount, placed_at: now, payer: payer(&contact) };
        let first_charge = first_charge(app, new, by_method.as_ref(), charge);
        let later = if first_charge.is_some() { CHARGE_BEGINS } else { SignedDuration::ZERO };
        Ok(Self {
            id,
            number,
            user: owner.user(),
            cart: cart.get("id"),
            cart_has_coupon: read.carts_coupon().is_some(),
            placed_at: now,
            sealed: app.keys.seal(&contact.document)?,
            registration: new.registration(&contact.document, &address)?,
            persons: app.keys.persons(&contact.document),
            person_to_lock: app.keys.person_to_lock(&contact.document),
            contact,
            address,
            unready,
            lines: order_lines(&read.lines, discount)?,
            subtotal,
            coupon_discount,
            method_discount,
            shipping,
            total,
            limits,
            units,
            placed_from: (!total.is_zero() && limits.counts_by()[2]).then(|| app.keys.address(asked.address)),
            quote,
            free,
            coupon,
            method: new.method().map(|m| m.as_str()),
            notes: new.notes.as_deref().map(str::trim).filter(|n| !n.is_empty()).map(str::to_owned),
            lang: read.buyer.as_ref().map_or(new.locale.unwrap_or(spoken), |row| Lang::of(row.get("locale"))),
            sms_opt_in: read.buyer.is_none() && new.sms_opt_in.unwrap_or(false),
            privacy_version: new.privacy_version.clone().filter(|_| read.buyer.is_none()),
            remind_at: now + time_to_pay * 2 / 3,
            expires_at: now + time_to_pay + GRACE + later,
            first_charge,
        })
    }

    /// There is nothing to pay: the order is paid when it is placed.
    pub(super) fn is_free(&self) -> bool {
        self.total.is_zero()
    }

    /// How it is counted while it is unpaid. `None`: it is paid when it is placed, or no limit is set.
    pub(super) fn unpaid(&self) -> Option<Unpaid<'_>> {
        if self.is_free() || !self.limits.counts() {
            return None;
        }
        let [by_document, by_email, by_address] = self.limits.counts_by();
        Some(Unpaid {
            lock: by_document.then_some(self.person_to_lock.as_slice()),
            documents: by_document.then_some(self.persons.as_slice()),
            by_email,
            address: self.placed_from.as_deref().filter(|_| by_address),
            orders: self.limits.unpaid_orders.each().to_vec(),
            units: self.limits.unpaid_units.each().to_vec(),
        })
    }

    pub(super) fn view(&self, app: &App) -> OrderView {
        let (status, payment_status) = match self.is_free() {
            true => (OrderStatus::Processing, OrderPaymentStatus::Paid),
            false => (OrderStatus::Pending, OrderPaymentStatus::PendingPayment),
        };
        OrderView {
            id: self.id,
            number: self.number.clone(),
            status,
            payment_status,
            refund_pending: false,
            on_hold: false,
            payment_method: self.method.map(str::to_owned),
            items: self.lines.clone(),
            subtotal_cents: self.subtotal,
            discount_cents: self.coupon_discount.checked_add(self.method_discount).unwrap_or(self.subtotal),
            method_discount_cents: self.method_discount,
            shipping_cents: self.shipping,
            total_cents: self.total,
            currency: Currency::Brl,
            coupon_code: self.coupon.as_ref().map(|(_, code)| code.clone()),
            customer_name: self.contact.name.clone(),
            state_registration: self.registration.as_ref().map(|r| r.as_str().to_owned()),
            customer_email: self.contact.email.as_ref().map(|e| e.as_str().to_owned()),
            shipping_address: serde_json::to_value(&self.address).unwrap_or_default(),
            carrier: self.quote.carrier.clone(),
            service: self.quote.service.clone(),
            delivery_days: self.quote.days as i32,
            freight_estimate: self.quote.estimate,
            tracking_number: None,
            tracking_url: tracking_url(&app.config.http.public_url, &self.number),
            notes: self.notes.clone(),
            expires_at: self.expires_at,
            paid_at: self.is_free().then_some(self.placed_at),
            shipped_at: None,
            delivered_at: None,
            cancelled_at: None,
            created_at: self.placed_at,
            updated_at: self.placed_at,
        }
    }
}

/// An order that cannot be paid by the chosen method is not placed. What costs nothing is not paid at all.
fn check_amount(by_method: Option<&(Method, Methods)>, total: Money) -> Result<()> {
    match by_method {
        Some((method, offers)) if !total.is_zero() => offers.check_amount(*method, total),
        _ => Ok(()),
    }
}

/// The charge of a buyer who pays in this call. `None`: there is nothing to pay, or the method cannot be used now. Then the order is
/// placed without it, and what starts its payment says why.
fn first_charge(
    app: &App,
    new: &PlaceOrder,
    by_method: Option<&(Method, Methods)>,
    asked: first::Asked<'_>,
) -> Option<FirstCharge> {
    let (method, offers) = by_method.filter(|_| new.pay.is_some() && !asked.total.is_zero())?;
    if offers.offer(*method).enabled { FirstCharge::of(app, *method, asked) } else { None }
}

fn payer(contact: &Contact) -> Payer {
    Payer { name: contact.name.clone(), tax_id: contact.document.clone(), email: contact.email.clone() }
}

/// Only where the shop issues invoices: the lines were read with what these need.
fn check_ready(app: &App, cart: &Row, rows: &[Row]) -> Result<Option<Unready>> {
    if app.providers.fiscal.is_none() {
        return Ok(None);
    }
    Door::read(cart.get("invoices"), app.config.nfe.cnpj.as_ref()).check(rows)
}

/// The coupon's discount, and whether it makes the freight free. A coupon that was sent and is not valid is an error, so that
/// nobody pays more than they were shown. One of the cart's that no longer counts is none, as the cart shows it.
fn apply_coupon(new: &PlaceOrder, coupon: Option<&Row>, subtotal: Money, now: Timestamp) -> Result<Applied> {
    let Some(row) = coupon else {
        return if new.coupon.is_some() { Err(Error::NoSuchCoupon) } else { Ok(Applied::default()) };
    };
    let coupon = Coupon::from_row(row);
    match coupon.refusal(subtotal, now) {
        Some(why) if new.coupon.is_some() => return Err(Error::Coupon(why)),
        Some(_) => return Ok(Applied::default()),
        None => {}
    }
    let (discount, frees_shipping) = (coupon.discount(subtotal), coupon.frees_shipping());
    Ok(Applied { coupon: Some((coupon.id, coupon.code)), discount, frees_shipping })
}

/// What a coupon does to an order.
#[derive(Default)]
struct Applied {
    coupon: Option<(CouponId, String)>,
    discount: Money,
    frees_shipping: bool,
}

/// Ten characters that are hard to confuse: 50 random bits. A number cannot be guessed, and does not show how many orders there
/// are.
fn order_number() -> String {
    const ALPHABET: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
    let bits: u64 = rand::random();
    let letter = |i: u32| ALPHABET[(bits >> (5 * i)) as usize & 31] as char;
    let (left, right): (String, String) = ((0..5).map(letter).collect(), (5..10).map(letter).collect());
    format!("{left}-{right}")
}
