//! Merges a guest's cart into the cart of the person who signs in.

use vitrine_kit::Money;

use super::Owner;
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{CartId, CouponId, UserId};
use crate::seal;

/// Moves a guest's cart into the person's own: quantities of the same variant are added up, capped by the stock (but a line is
/// never dropped), the guest's coupon is kept if the person has none, and the guest's cart is deleted. Of two prices that were shown the
/// lower one counts, and of two discounts the higher. A token of no guest's cart (forged, merged before, another person's) changes nothing.
pub async fn merge_guest_cart(app: &App, user: UserId, token: &str) -> Result<()> {
    // FOR UPDATE: of two sign-ins with the same token, the second finds no cart.
    const GUEST: &str = "SELECT id, coupon_id, shown_discount_cents FROM carts WHERE owner = $1 AND user_id IS NULL FOR UPDATE";
    const OWN: &str = "
        INSERT INTO carts (id, user_id, owner, coupon_id, shown_discount_cents) VALUES ($1, $2, $3, $4, $5)
        ON CONFLICT (owner) DO UPDATE SET coupon_id = coalesce(carts.coupon_id, EXCLUDED.coupon_id), updated_at = now(),
            shown_discount_cents = greatest(carts.shown_discount_cents, EXCLUDED.shown_discount_cents)
        RETURNING id";
    const MOVE: &str = "
        INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents, added_at)
        SELECT $2, i.variant_id, greatest(1, least(i.quantity, v.stock)), i.seen_price_cents, i.shown_price_cents, i.added_at
          FROM cart_items i JOIN variants v ON v.id = i.variant_id
         WHERE i.cart_id = $1 ORDER BY i.variant_id
        ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = greatest(1, least(cart_items.quantity + EXCLUDED.quantity, 9999,
            (SELECT v.stock FROM variants v WHERE v.id = EXCLUDED.variant_id))),
            shown_price_cents = least(cart_items.shown_price_cents, EXCLUDED.shown_price_cents)";
    const DROP: &str = "DELETE FROM carts WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(guest) = db::query_opt(&tx, GUEST, &[&seal::token_hash(token)]).await? else { return Ok(()) };
    let (discount, coupon): (Money, Option<CouponId>) = (guest.get("shown_discount_cents"), guest.get("coupon_id"));
    let guest: CartId = guest.get("id");
    let own = db::query_one(&tx, OWN, &[&CartId::new(), &user, &Owner::User(user).key(), &coupon, &discount]).await?;
    let own: CartId = own.get("id");
    db::execute(&tx, MOVE, &[&guest, &own]).await?;
    db::execute(&tx, DROP, &[&guest]).await?;
    tx.commit().await?;
    Ok(())
}
