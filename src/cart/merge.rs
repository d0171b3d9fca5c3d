//! Merges a guest's cart into the cart of the person who signs in.

use super::Owner;
use crate::app::App;
use crate::db;
use crate::error::Result;
use crate::ids::{CartId, CouponId, UserId};
use crate::seal;

/// Moves a guest's cart into the person's own: quantities of the same variant are added up, capped by the stock (but a line is
/// never dropped), the guest's coupon is kept if the person has none, and the guest's cart is deleted. A token of no guest's
/// cart (forged, merged before, another person's) changes nothing.
pub async fn merge_guest_cart(app: &App, user: UserId, token: &str) -> Result<()> {
    // FOR UPDATE: of two sign-ins with the same token, the second finds no cart.
    const GUEST: &str = "SELECT id, coupon_id FROM carts WHERE owner = $1 AND user_id IS NULL FOR UPDATE";
    const OWN: &str = "
        INSERT INTO carts (id, user_id, owner, coupon_id) VALUES ($1, $2, $3, $4)
        ON CONFLICT (owner) DO UPDATE SET coupon_id = coalesce(carts.coupon_id, EXCLUDED.coupon_id), updated_at = now()
        RETURNING id";
    const MOVE: &str = "
        INSERT INTO cart_items (cart_id, variant_id, quantity, seen_price_cents, shown_price_cents, added_at)
        SELECT $2, i.variant_id, greatest(1, least(i.quantity, v.stock)), i.seen_price_cents, i.shown_price_cents, i.added_at
          FROM cart_items i JOIN variants v ON v.id = i.variant_id
         WHERE i.cart_id = $1 ORDER BY i.variant_id
        ON CONFLICT (cart_id, variant_id) DO UPDATE SET quantity = greatest(1, least(cart_items.quantity + EXCLUDED.quantity, 9999,
            (SELECT v.stock FROM variants v WHERE v.id = EXCLUDED.variant_id)))";
    const DROP: &str = "DELETE FROM carts WHERE id = $1";
    let mut db = app.db().await?;
    let tx = db.transaction().await?;
    let Some(guest) = db::query_opt(&tx, GUEST, &[&seal::token_hash(token)]).await? else { return Ok(()) };
    let (guest, coupon): (CartId, Option<CouponId>) = (guest.get("id"), guest.get("coupon_id"));
    let own: CartId = db::query_one(&tx, OWN, &[&CartId::new(), &user, &Owner::User(user).key(), &coupon]).await?.get("id");
    db::execute(&tx, MOVE, &[&guest, &own]).await?;
    db::execute(&tx, DROP, &[&guest]).await?;
    tx.commit().await?;
    Ok(())
}
