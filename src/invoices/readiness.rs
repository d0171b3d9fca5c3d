//! What would stand in an invoice's way, told before the first sale meets it.

use deadpool_postgres::GenericClient;
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use vitrine_kit::Money;
use vitrine_kit::fiscal::Regime;

use super::build;
use super::company::{self, Company};
use super::facts::{self, CATEGORY_WORDS};
use super::issue;
use super::problem::Problem;
use super::tax::{self, Setting};
use super::ware::{self, Ware};
use crate::app::App;
use crate::calendar;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::ProductId;
use crate::tax::TaxRules;
use crate::tax::states;

/// Products that are named at once; the count goes on.
const NAMED: usize = 100;

#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Nothing stands in the way of any product's invoice.
    pub ready: bool,
    /// `focusnfe`, `enotas`; null: the shop emits no invoices.
    pub provider: Option<&'static str>,
    /// `homologacao` has no fiscal value.
    pub environment: &'static str,
    /// The company's and the settings' own.
    pub problems: Vec<Problem>,
    pub products: Vec<ProductProblems>,
    /// How many products could not be invoiced now, the unnamed ones too.
    pub products_total: usize,
}

#[derive(Debug, Serialize, ToSchema)]
pub struct ProductProblems {
    #[schema(value_type = uuid::Uuid)]
    pub product_id: ProductId,
    pub name: String,
    pub problems: Vec<Problem>,
}

/// Looks at the settings and at every product that is for sale, for a sale inside the state and for one to another.
pub async fn check_readiness(app: &App) -> Result<Readiness> {
    let db = app.db().await?;
    let company = company::find(&db).await?;
    let (rules, rows) = products(&db).await?;
    drop(db);
    let problems = company_problems(app, company.as_ref()).await;
    let mut products = Vec::new();
    let mut products_total = 0;
    for product in &rows {
        let problems = product_problems(product, company.as_ref(), &rules);
        if !problems.is_empty() {
            products_total += 1;
            if products.len() < NAMED {
                products.push(ProductProblems { product_id: product.id, name: product.name.clone(), problems });
            }
        }
    }
    Ok(Readiness {
        ready: app.providers.fiscal.is_some() && problems.is_empty() && products_total == 0,
        provider: app.providers.fiscal.as_ref().map(|fiscal| fiscal.name()),
        environment: super::store::environment_word(app.config.nfe.environment),
        problems,
        products,
        products_total,
    })
}

struct Product {
    id: ProductId,
    name: String,
    ncm: Option<String>,
    cfop: Option<String>,
    origin: Option<i16>,
    tax: crate::tax::TaxData,
}

async fn products(db: &impl GenericClient) -> Result<(TaxRules, Vec<Product>)> {
    const RULES: &str = "SELECT value FROM settings WHERE name = 'taxes'";
    let rules: Option<Value> = db::query_opt(db, RULES, &[]).await?.map(|row| row.get("value"));
    let rules: TaxRules = rules.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
    const PRODUCTS: &str = sql!(
        "SELECT p.id, p.name, coalesce(p.ncm, c.ncm) AS ncm, coalesce(p.cfop, c.cfop) AS cfop, coalesce(p.origin, c.origin) AS origin,
                p.tax, c.taxes
           FROM products p ",
        CATEGORY_WORDS,
        " WHERE p.active AND p.deleted_at IS NULL ORDER BY p.id"
    );
    let rows = db::query(db, PRODUCTS, &[]).await?;
    let product = |row: &tokio_postgres::Row| Product {
        id: row.get("id"),
        name: row.get("name"),
        ncm: row.get("ncm"),
        cfop: row.get("cfop"),
        origin: row.get("origin"),
        tax: facts::nearest(row.get("tax"), row.get("taxes")).or(&rules.products),
    };
    let products = rows.iter().map(product).collect();
    Ok((rules, products))
}

/// As an invoice would find them. Where those who know cities by their CEP are away, that is no problem of the company's.
async fn company_problems(app: &App, company: Option<&Company>) -> Vec<Problem> {
    let Some(company) = company else {
        return vec![Problem::new("company", "Informe os dados da empresa em /api/admin/settings/company")];
    };
    let mut problems = Vec::new();
    let city = issue::seller_city(app, company).await;
    let is_known = city.is_ok();
    build::issuer(app.config.nfe.cnpj.as_ref(), company, city.ok().flatten(), &mut problems);
    problems.retain(|problem| is_known || problem.field != "company.address.ibge_city");
    problems
}

fn product_problems(product: &Product, company: Option<&Company>, rules: &TaxRules) -> Vec<Problem> {
    let mut wrong = Vec::new();
    ware::text(&product.name, "name", &mut wrong);
    let ware = Ware { ncm: product.ncm.as_deref(), cfop: product.cfop.as_deref(), origin: product.origin, tax: &product.tax };
    let origin = ware::kind(&ware, "", &mut wrong).map_or(0, |(_, origin)| origin);
    if let Some((company, home)) = company.and_then(|c| Some((c, states::find(&c.address.state)?))) {
        let regime: Regime = company.tax_regime.into();
        let day = calendar::day_of(jiff::Timestamp::now());
        let setting = Setting { regime, from: home, to: home, to_contributor: false, rules, day };
        ware::movement(&setting, &ware, false, "", &mut wrong);
        wrong.extend(tax::taxes_of(&setting, &product.tax, origin, Money::from_cents(100), "").err().unwrap_or_default());
    }
    for problem in &mut wrong {
        problem.field = problem.field.trim_start_matches('.').to_owned();
    }
    wrong
}
