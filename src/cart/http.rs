//! `/api/cart`.

use actix_web::cookie::{Cookie, SameSite, time::Duration};
use actix_web::http::header;
use actix_web::{HttpRequest, HttpResponse, delete, get, post, put, web};
use garde::Validate;
use jiff::Timestamp;
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use utoipa_actix_web::service_config::ServiceConfig;
use uuid::Uuid;

use super::store::{self, Addition, Which};
use super::{Cart, Owner};
use crate::app::App;
use crate::client_ip::counted;
use crate::coupons;
use crate::error::{Error, Problem, Result};
use crate::http::json::{Json, Path, Query};
use crate::http::rate_limit;
use crate::http::who::{CART_COOKIE, Visitor};
use crate::ids::{ProductId, VariantId};
use crate::seal;

/// Lifetime of the guest's cart cookie. A cart unused for so long is removed (see `purge`).
const COOKIE_DAYS: i64 = 60;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(get_cart)
        .service(add_item)
        .service(set_item)
        .service(remove_item)
        .service(empty_cart)
        .service(apply_coupon)
        .service(drop_coupon);
}

/// What is put into the cart.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"product_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 2}))]
struct AddItem {
    /// The product.
    #[garde(skip)]
    product_id: ProductId,
    /// Left out: the product's default variant.
    #[garde(skip)]
    variant_id: Option<VariantId>,
    /// How many pieces more.
    #[garde(range(min = 1, max = 9999))]
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i32,
}

/// How many pieces of an item there shall be.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"quantity": 3}))]
struct SetQuantity {
    /// At least 1; to remove the item, use DELETE.
    #[garde(range(min = 1, max = 9999))]
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i32,
}

#[derive(Debug, Deserialize, Validate, IntoParams)]
#[serde(deny_unknown_fields)]
struct WhichVariant {
    /// Needed where the path names a product and the cart holds several of its variants.
    #[garde(skip)]
    variant_id: Option<VariantId>,
}

/// The coupon that the cart shall have.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"code": "BEMVINDO10"}))]
struct ApplyCoupon {
    /// The coupon's code; case and spaces around it do not matter.
    #[garde(length(chars, min = 1, max = 60))]
    #[schema(min_length = 1, max_length = 60)]
    code: String,
}

/// Shows the cart
///
/// At present prices. Who has none is answered an empty one.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])),
    responses(
        (status = 200, body = Cart, description = "The cart")))]
#[get("/api/cart")]
async fn get_cart(app: web::Data<App>, visitor: Visitor) -> Result<HttpResponse> {
    answer(&app, Owner::of(&visitor).as_ref()).await
}

/// Adds to the cart
///
/// A guest's first item creates the cart; its token is in a header, a cookie and a field.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])), request_body = AddItem,
    responses(
        (status = 200, body = Cart, description = "The cart as it is now"),
        (status = 404, body = Problem, description = "`not-found`: there is no such product or variant, or it is not sold"),
        (status = 409, body = Problem,
            description = "`out-of-stock`: there are not so many pieces; `conflict`: the cart holds too many items or pieces")))]
#[post("/api/cart/items")]
async fn add_item(app: web::Data<App>, visitor: Visitor, body: Json<AddItem>) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor);
    let fresh = visitor.user.is_none().then(seal::random_token);
    let fresh_hash = fresh.as_deref().map(seal::token_hash);
    let new = Addition { product: body.product_id, variant: body.variant_id, quantity: body.quantity };
    let db = app.db().await?;
    let made = store::add_item(&db, owner.as_ref(), fresh_hash.as_deref(), &new).await?;
    match (fresh, fresh_hash, owner) {
        (Some(token), Some(hash), _) if made => Ok(new_guest_cart(&app, Cart::read(&db, &Owner::Guest(hash)).await?, token)),
        (_, _, Some(owner)) => Ok(show_cart(&Cart::read(&db, &owner).await?)),
        _ => Err(Error::Internal("a visitor who was nobody had a cart".into())),
    }
}

/// Sets an item's quantity
///
/// At most as many pieces as there are.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])), request_body = SetQuantity,
    params(("pid" = Uuid, Path, description = "A variant, or a product of which the cart holds one variant"), WhichVariant),
    responses(
        (status = 200, body = Cart, description = "The cart as it is now"),
        (status = 404, body = Problem, description = "`not-found`: it is not in the cart"),
        (status = 409, body = Problem,
            description = "`out-of-stock`: there are not so many pieces; `conflict`: it is no longer sold, or the cart holds several variants of the product")))]
#[put("/api/cart/items/{pid}")]
async fn set_item(
    app: web::Data<App>,
    visitor: Visitor,
    body: Json<SetQuantity>,
    id: Path<Uuid>,
    which: Query<WhichVariant>,
) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor).ok_or(Error::NotFound("The item"))?;
    let which = Which { id: id.0, variant: which.0.variant_id };
    store::set_quantity(&app.db().await?, &owner, &which, body.quantity).await?;
    answer(&app, Some(&owner)).await
}

/// Removes an item from the cart
///
/// All its pieces.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])),
    params(("pid" = Uuid, Path, description = "A variant, or a product of which the cart holds one variant"), WhichVariant),
    responses(
        (status = 200, body = Cart, description = "The cart as it is now"),
        (status = 404, body = Problem, description = "`not-found`: it is not in the cart"),
        (status = 409, body = Problem, description = "`conflict`: the cart holds several variants of the product")))]
#[delete("/api/cart/items/{pid}")]
async fn remove_item(app: web::Data<App>, visitor: Visitor, id: Path<Uuid>, which: Query<WhichVariant>) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor).ok_or(Error::NotFound("The item"))?;
    let which = Which { id: id.0, variant: which.0.variant_id };
    store::remove_item(&app.db().await?, &owner, &which).await?;
    answer(&app, Some(&owner)).await
}

/// Empties the cart
///
/// Its coupon is removed as well.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])),
    responses(
        (status = 200, body = Cart, description = "The empty cart")))]
#[delete("/api/cart")]
async fn empty_cart(app: web::Data<App>, visitor: Visitor) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor);
    if let Some(owner) = &owner {
        store::empty_cart(&app.db().await?, owner).await?;
    }
    answer(&app, owner.as_ref()).await
}

/// Applies a coupon to the cart
///
/// In place of the one that it has. After five wrong codes in a minute, an address is refused for the rest of it.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])), request_body = ApplyCoupon,
    responses(
        (status = 200, body = Cart, description = "The cart with the coupon"),
        (status = 404, body = Problem, description = "`not-found`: there is no such coupon"),
        (status = 409, body = Problem,
            description = "`coupon-refused`: it cannot be used, the text says why; `cart-empty`: there is nothing in the cart"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many wrong codes came from this address")))]
#[post("/api/cart/coupon")]
async fn apply_coupon(app: web::Data<App>, req: HttpRequest, visitor: Visitor, body: Json<ApplyCoupon>) -> Result<HttpResponse> {
    let code = coupons::normalise(&body.code)?;
    let owner = Owner::of(&visitor).ok_or(Error::CartEmpty)?;
    let db = app.db().await?;
    let cart = Cart::read(&db, &owner).await?;
    if cart.items.is_empty() {
        return Err(Error::CartEmpty);
    }
    let guess = app.coupon_guesses.begin(counted(rate_limit::address(&app, &req)), &code).await?;
    let found = store::find_coupon(&db, &owner, &code).await?;
    let (coupon, person_uses) = found.ok_or(Error::NotFound("The coupon"))?;
    guess.was_right();
    if let Some(why) = coupon.refusal_to(person_uses, cart.subtotal_cents, Timestamp::now()) {
        return Err(Error::Coupon(why));
    }
    if !store::set_coupon(&db, &owner, Some(coupon.id)).await? {
        return Err(Error::CartEmpty);
    }
    Ok(show_cart(&Cart::read(&db, &owner).await?))
}

/// Removes the coupon from the cart
///
/// Nothing happens where there is none.
#[utoipa::path(
    tag = "cart", security((), ("bearer" = [])),
    responses(
        (status = 200, body = Cart, description = "The cart as it is now")))]
#[delete("/api/cart/coupon")]
async fn drop_coupon(app: web::Data<App>, visitor: Visitor) -> Result<HttpResponse> {
    let owner = Owner::of(&visitor);
    if let Some(owner) = &owner {
        store::set_coupon(&app.db().await?, owner, None).await?;
    }
    answer(&app, owner.as_ref()).await
}

async fn answer(app: &App, owner: Option<&Owner>) -> Result<HttpResponse> {
    let cart = match owner {
        Some(owner) => Cart::read(&app.db().await?, owner).await?,
        None => Cart::empty(),
    };
    Ok(show_cart(&cart))
}

fn show_cart(cart: &Cart) -> HttpResponse {
    HttpResponse::Ok().insert_header((header::CACHE_CONTROL, "no-store")).json(cart)
}

/// The answer that gives a guest the token of the new cart. Only the token's hash is stored.
fn new_guest_cart(app: &App, cart: Cart, token: String) -> HttpResponse {
    let cookie = Cookie::build(CART_COOKIE, token.clone())
        .path("/api")
        .http_only(true)
        .same_site(SameSite::Lax)
        .secure(app.config.http.public_url.starts_with("https://"))
        .max_age(Duration::days(COOKIE_DAYS))
        .finish();
    HttpResponse::Ok()
        .insert_header((header::CACHE_CONTROL, "no-store"))
        .insert_header(("x-cart-token", token.clone()))
        .cookie(cookie)
        .json(Cart { cart_token: Some(token), ..cart })
}
