//! `/api/shipping`.

use actix_web::{HttpRequest, HttpResponse, post, web};
use garde::Validate;
use serde::Deserialize;
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Cep;

use super::freight::{self, Freight};
use super::parcel::Wanted;
use crate::app::App;
use crate::cart::{self, Owner};
use crate::coupons::Coupon;
use crate::error::{Error, Problem, Result};
use crate::http::json::Json;
use crate::http::rate_limit;
use crate::http::who::Visitor;
use crate::ids::{ProductId, VariantId};

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(calculate_freight);
}

/// What is sent, and where to.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"cep_destino": "01310-100", "items": [{"product_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 2}]}))]
struct Calculate {
    /// Destination, `01310-100` or `01310100`.
    #[garde(custom(is_cep))]
    #[schema(pattern = r"^\s*[0-9]{5}-?[0-9]{3}\s*$")]
    cep_destino: String,
    /// The items; left out: the caller's cart, with its coupon.
    #[garde(length(min = 1, max = 100), dive)]
    #[schema(min_items = 1, max_items = 100)]
    items: Option<Vec<FreightItem>>,
}

/// So many pieces of a variant.
#[derive(Debug, Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(example = json!({"product_id": "01a1fe4e-0785-7243-a93f-cc241c46a4e2", "quantity": 2}))]
struct FreightItem {
    /// The product.
    #[garde(skip)]
    product_id: ProductId,
    /// Left out: the product's default variant.
    #[garde(skip)]
    variant_id: Option<VariantId>,
    /// How many pieces.
    #[garde(range(min = 1, max = 9999))]
    #[schema(minimum = 1, maximum = 9999)]
    quantity: i32,
}

fn is_cep(text: &str, (): &()) -> garde::Result {
    Cep::parse(text).map(drop).map_err(garde::Error::new)
}

/// Quotes freight
///
/// For these items, or for the cart. The checkout takes an option's `quote_token`. Carriers that are away cost their own
/// options; where all are, the prices come from past quotes and are marked `estimate`. Limited per address.
#[utoipa::path(
    tag = "shipping", security((), ("bearer" = [])), request_body = Calculate,
    responses(
        (status = 200, body = Freight, description = "The options, the cheapest first"),
        (status = 409, body = Problem, description = "`cart-empty`: no items were sent, and the cart has none"),
        (status = 422, body = Problem, description = "`invalid`: the CEP or an item is wrong"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many quotes were asked for from this address"),
        (status = 503, body = Problem,
            description = "`unavailable`: no carrier answers, and there is no past quote to estimate by")))]
#[post("/api/shipping/calculate")]
async fn calculate_freight(
    app: web::Data<App>,
    req: HttpRequest,
    visitor: Visitor,
    body: Json<Calculate>,
) -> Result<HttpResponse> {
    app.limiters.freight.check(rate_limit::address(&app, &req))?;
    let to = Cep::parse(&body.cep_destino).map_err(|e| Error::field("cep_destino", e.to_string()))?;
    let (wanted, coupon) = match &body.items {
        Some(items) => {
            let wanted = |i: &FreightItem| Wanted { product: i.product_id, variant: i.variant_id, quantity: i.quantity };
            (items.iter().map(wanted).collect(), None)
        }
        None => in_cart(&app, &visitor).await?,
    };
    let freight = freight::calculate(&app, &to, &wanted, coupon.as_ref()).await?;
    Ok(HttpResponse::Ok().insert_header(("cache-control", "no-store")).json(freight))
}

async fn in_cart(app: &App, visitor: &Visitor) -> Result<(Vec<Wanted>, Option<Coupon>)> {
    let owner = Owner::of(visitor).ok_or(Error::CartEmpty)?;
    let (lines, coupon) = cart::list_sold(&app.db().await?, &owner).await?;
    if lines.is_empty() {
        return Err(Error::CartEmpty);
    }
    let wanted = |(product, variant, quantity)| Wanted { product, variant: Some(variant), quantity };
    Ok((lines.into_iter().map(wanted).collect(), coupon))
}
