//! `/api/cep/{cep}`: from a CEP to a street, cached for weeks. Always optional: without an answer the buyer types the address.

use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, get, web};
use deadpool_postgres::GenericClient;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_actix_web::service_config::ServiceConfig;
use vitrine_kit::Cep;

use super::rules::parsed;
use crate::app::App;
use crate::db;
use crate::error::{Error, Problem, Result};
use crate::http::json::Path;
use crate::http::rate_limit;
use crate::tax::states::StateCode;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(show);
}

/// What is known of a CEP.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = CepPlace)]
pub struct Place {
    /// `01310-100`
    #[schema(example = "01310-100")]
    pub cep: String,
    /// The street; null in small towns, which have one CEP for all streets.
    #[schema(required = true, example = "Avenida Paulista")]
    pub street: Option<String>,
    /// The district; null in small towns.
    #[schema(required = true, example = "Bela Vista")]
    pub district: Option<String>,
    /// The city.
    #[schema(example = "São Paulo")]
    pub city: String,
    /// The state.
    #[schema(value_type = StateCode, example = "SP")]
    pub state: String,
    /// The IBGE's code of the city, 7 digits; null: not known.
    #[schema(required = true, example = "3550308")]
    pub ibge_city: Option<String>,
}

impl From<vitrine_cep::Address> for Place {
    fn from(a: vitrine_cep::Address) -> Self {
        Self {
            cep: a.cep.formatted(),
            street: a.street,
            district: a.district,
            city: a.city,
            state: a.state,
            ibge_city: a.ibge_city,
        }
    }
}

/// A cached answer: the place (or that there is none), and whether it is fresh enough to be used without asking.
struct Cached {
    place: Option<Place>,
    fresh: bool,
}

/// Finds the address of a CEP
///
/// Street, district, city and state. Limited per address.
#[utoipa::path(
    tag = "addresses",
    params(("cep" = String, Path, description = "The CEP, with or without its hyphen", max_length = 10, example = "01310-100")),
    responses(
        (status = 200, body = Place, description = "What is known of it"),
        (status = 404, body = Problem, description = "`not-found`: there is no such CEP"),
        (status = 422, body = Problem, description = "`invalid`: it is not a CEP"),
        (status = 429, body = Problem, description = "`too-many-requests`: too many CEPs were asked for from this address"),
        (status = 503, body = Problem, description = "`unavailable`: nobody who could answer is there: let the buyer type it")))]
#[get("/api/cep/{cep}")]
async fn show(app: web::Data<App>, req: HttpRequest, path: Path<String>) -> Result<HttpResponse> {
    app.limiters.cep.check(rate_limit::address(&app, &req))?;
    let cep = parsed("cep", Cep::parse(&path.0))?;
    let place = look_up(&app, &cep).await?.ok_or(Error::NotFound("The CEP"))?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "public, max-age=86400")).json(place))
}

/// `None`: there is no such CEP. While the sources are away a stale answer is used.
pub async fn look_up(app: &App, cep: &Cep) -> Result<Option<Place>> {
    let cached = cached(&app.db().await?, cep).await?;
    if let Some(Cached { place, fresh: true }) = cached {
        return Ok(place);
    }
    match app.providers.cep.find(cep).await {
        Ok(found) => {
            let place = found.map(Place::from);
            remember(&app.db().await?, cep, place.as_ref()).await?;
            Ok(place)
        }
        Err(_) if cached.as_ref().is_some_and(|r| r.place.is_some()) => Ok(cached.and_then(|r| r.place)),
        Err(error) => Err(error.into()),
    }
}

/// Reads the cache. A place is fresh for a month; that there is none, for a day.
async fn cached(db: &impl GenericClient, cep: &Cep) -> Result<Option<Cached>> {
    const FIND: &str = "
        SELECT address, fetched_at > now() - CASE WHEN address IS NULL THEN interval '1 day' ELSE interval '30 days' END AS fresh
          FROM cep_cache WHERE cep = $1";
    let row = db::query_opt(db, FIND, &[&cep.as_str()]).await?;
    Ok(row.map(|row| {
        let place = row.get::<_, Option<serde_json::Value>>("address").and_then(|json| serde_json::from_value(json).ok());
        Cached { place, fresh: row.get("fresh") }
    }))
}

async fn remember(db: &impl GenericClient, cep: &Cep, place: Option<&Place>) -> Result<()> {
    const REMEMBER: &str = "
        INSERT INTO cep_cache (cep, address) VALUES ($1, $2)
        ON CONFLICT (cep) DO UPDATE SET address = EXCLUDED.address, fetched_at = now()";
    let json = place.map(serde_json::to_value).transpose().map_err(|e| Error::Internal(e.to_string()))?;
    db::execute(db, REMEMBER, &[&cep.as_str(), &json]).await?;
    Ok(())
}
