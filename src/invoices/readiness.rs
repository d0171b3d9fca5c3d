//! What would stand in an invoice's way, told before the first sale meets it.

use deadpool_postgres::GenericClient;
use jiff::civil::Date;
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
use super::reform;
use super::tax::{self, Setting};
use super::ware::{self, Ware};
use crate::app::App;
use crate::db::{self, sql};
use crate::error::Result;
use crate::ids::ProductId;
use crate::tax::{TaxRules, law, states};

/// Products that are named at once; the count goes on.
const NAMED: usize = 100;

#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// The day whose rules were applied.
    #[schema(value_type = String, format = Date)]
    pub on: Date,
    /// Nothing stands in the way of any product's invoice.
    pub ready: bool,
    /// `focusnfe`, `enotas`; null: the shop emits no invoices.
    pub provider: Option<&'static str>,
    /// `homologacao` has no fiscal value.
    pub environment: &'static str,
    /// The company's and the settings' own.
    pub problems: Vec<Problem>,
    /// What stops no invoice, but is to be looked at.
    pub warnings: Vec<Problem>,
    /// First those that could not be invoiced, then those with warnings only.
    pub products: Vec<ProductProblems>,
    /// How many products could not be invoiced, the unnamed ones too.
    pub products_total: usize,
    /// How many more have warnings.
    pub products_warned: usize,
    /// The next days on which other rules hold for this shop: ask for these.
    #[schema(value_type = Vec<String>)]
    pub rules_change_on: Vec<Date>,
}

#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProductProblems {
    #[schema(value_type = uuid::Uuid)]
    pub product_id: ProductId,
    pub name: String,
    pub problems: Vec<Problem>,
    pub warnings: Vec<Problem>,
}

/// What is known of the shop now. Judging it for a day asks nobody.
#[derive(Debug)]
pub struct Known {
    company: Option<Company>,
    rules: TaxRules,
    products: Vec<Product>,
    /// As an invoice would find the company.
    company_problems: Vec<Problem>,
}

impl Known {
    pub async fn read(app: &App) -> Result<Self> {
        let db = app.db().await?;
        let company = company::find(&db).await?;
        let (rules, products) = products(&db).await?;
        drop(db);
        let company_problems = company_problems(app, company.as_ref()).await;
        Ok(Self { company, rules, products, company_problems })
    }

    fn regime(&self) -> Option<Regime> {
        self.company.as_ref().map(|company| company.tax_regime.into())
    }

    /// The days after this one on which other rules hold for this shop, in order.
    pub fn rule_days(&self, after: Date) -> Vec<Date> {
        let start = self.regime().map(|regime| self.rules.ibs_cbs_from(regime)).filter(|day| *day > after);
        let mut days: Vec<Date> = law::changes_after(after).chain(start).collect();
        days.sort_unstable();
        days.dedup();
        days
    }

    /// Looks at the settings and at every product that is for sale, for a sale inside the state on that day.
    pub fn judge(&self, app: &App, day: Date) -> Readiness {
        let (mut problems, mut warnings) = (self.company_problems.clone(), self.setting_warnings(day));
        let (mut stopped, mut warned) = (Vec::new(), Vec::new());
        let (mut products_total, mut products_warned) = (0, 0);
        for product in &self.products {
            let mut seen = self.product_problems(product, day);
            // What is the settings' is said once.
            hoist(&mut seen.problems, &mut problems);
            hoist(&mut seen.warnings, &mut warnings);
            let (count, named) = match (seen.problems.is_empty(), seen.warnings.is_empty()) {
                (false, _) => (&mut products_total, &mut stopped),
                (true, false) => (&mut products_warned, &mut warned),
                (true, true) => continue,
            };
            *count += 1;
            if named.len() < NAMED {
                named.push(seen);
            }
        }
        stopped.append(&mut warned);
        Readiness {
            on: day,
            ready: app.providers.fiscal.is_some() && problems.is_empty() && products_total == 0,
            provider: app.providers.fiscal.as_ref().map(|fiscal| fiscal.name()),
            environment: super::store::environment_word(app.config.nfe.environment),
            problems,
            warnings,
            products: stopped,
            products_total,
            products_warned,
            rules_change_on: self.rule_days(day),
        }
    }

    fn setting(&self, day: Date) -> Option<Setting<'_>> {
        let company = self.company.as_ref()?;
        let home = states::find(&company.address.state)?;
        Some(Setting { regime: company.tax_regime.into(), from: home, to: home, to_contributor: false, rules: &self.rules, day })
    }

    fn setting_warnings(&self, day: Date) -> Vec<Problem> {
        self.setting(day).map(|setting| tax::setting_warnings(&setting)).unwrap_or_default()
    }

    fn product_problems(&self, product: &Product, day: Date) -> ProductProblems {
        let (mut wrong, mut warnings) = (Vec::new(), Vec::new());
        ware::text(&product.name, "name", &mut wrong);
        let ware = Ware { ncm: product.ncm.as_deref(), cfop: product.cfop.as_deref(), origin: product.origin, tax: &product.tax };
        let origin = ware::kind(&ware, &self.rules, "", &mut wrong).map_or(0, |(_, origin)| origin);
        if let Some(setting) = self.setting(day) {
            ware::movement(&setting, &ware, false, "", &mut wrong);
            wrong.extend(tax::taxes_of(&setting, &product.tax, origin, Money::from_cents(100), "").err().unwrap_or_default());
            warnings = reform::missing_but_optional(&setting, &product.tax, "");
        }
        for problem in wrong.iter_mut().chain(&mut warnings) {
            problem.field = problem.field.trim_start_matches('.').to_owned();
        }
        ProductProblems { product_id: product.id, name: product.name.clone(), problems: wrong, warnings }
    }
}

/// Moves what is about the settings, once each.
fn hoist(from: &mut Vec<Problem>, to: &mut Vec<Problem>) {
    let (settings, own) = std::mem::take(from).into_iter().partition(|problem| problem.field.starts_with("taxes."));
    *from = own;
    let settings: Vec<Problem> = settings;
    let new: Vec<Problem> = settings.into_iter().filter(|problem| !to.contains(problem)).collect();
    to.extend(new);
}

#[derive(Debug)]
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
