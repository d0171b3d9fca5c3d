//! What would stand in an invoice's way, told before the first sale meets it, and asked at the checkout.

use deadpool_postgres::GenericClient;
use jiff::civil::Date;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;
use utoipa::ToSchema;
use uuid::Uuid;
use vitrine_kit::nfe::Regime;
use vitrine_kit::{Cnpj, Money};

use super::company::{self, Company};
use super::facts::{self, CATEGORY_WORDS, WARE_COLUMNS};
use super::issue;
use super::left_out::LeftOut;
use super::parties;
use super::problem::{self, Problem};
use super::reform;
use super::settings::{InvoiceSettings, UnreadyProducts};
use super::tax::{self, Setting};
use super::ware::{self, Ware};
use super::words::Environment;
use crate::app::App;
use crate::calendar;
use crate::db::{self, sql};
use crate::error::{Error, Result};
use crate::ids::ProductId;
use crate::providers::names::InvoiceProvider;
use crate::tax::{TaxData, TaxRules, law, states};

/// Products that are named at once; the count goes on.
pub(super) const NAMED: usize = 100;
/// Products that are read at once.
const PAGE: i64 = 500;

/// What stands in the way of invoices.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// The day whose rules were applied.
    #[schema(value_type = String, format = Date)]
    pub on: Date,
    /// Nothing stands in the way of any product's invoice.
    pub ready: bool,
    /// Who would send them; null: the shop emits no invoices.
    #[schema(value_type = Option<InvoiceProvider>, required = true)]
    pub provider: Option<&'static str>,
    /// `homologacao` has no fiscal value.
    #[schema(value_type = Environment)]
    pub environment: &'static str,
    /// The company's and the settings' own.
    pub problems: Vec<Problem>,
    /// What stops no invoice, but is to be looked at.
    pub warnings: Vec<Problem>,
    /// First those that could not be invoiced, then those with warnings only.
    pub products: Vec<ProductProblems>,
    /// How many products could not be invoiced, the unnamed ones too.
    #[schema(example = 0, minimum = 0)]
    pub products_total: usize,
    /// How many more have warnings.
    #[schema(example = 0, minimum = 0)]
    pub products_warned: usize,
    /// The next days on which other rules hold for this shop: ask for these.
    pub rules_change_on: Vec<Date>,
    /// Texts of which an invoice cannot show every letter: they are sold and invoiced without. At most 100.
    pub left_out: Vec<LeftOut>,
}

/// A product with what its invoice lacks.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct ProductProblems {
    /// The product.
    #[schema(value_type = uuid::Uuid)]
    pub product_id: ProductId,
    /// Its name.
    #[schema(example = "Camiseta azul")]
    pub name: String,
    /// What stops its invoice.
    pub problems: Vec<Problem>,
    /// What stops no invoice, but is to be looked at.
    pub warnings: Vec<Problem>,
}

/// What is known of the shop now. Judging it for a day asks nobody.
#[derive(Debug)]
pub struct Known {
    company: Option<Company>,
    rules: TaxRules,
    /// As an invoice would find the company.
    company_problems: Vec<Problem>,
}

impl Known {
    pub async fn read(app: &App) -> Result<Self> {
        const RULES: &str = "SELECT value FROM settings WHERE name = 'taxes'";
        let db = app.db().await?;
        let company = company::find(&db).await?;
        let rules: Option<Value> = db::query_opt(&db, RULES, &[]).await?.map(|row| row.get("value"));
        drop(db);
        let rules = rules.and_then(|value| serde_json::from_value(value).ok()).unwrap_or_default();
        let city = match &company {
            Some(company) => issue::seller_city(app, company).await.ok(),
            None => None,
        };
        let company_problems = company_problems(app.config.nfe.cnpj.as_ref(), company.as_ref(), city);
        Ok(Self { company, rules, company_problems })
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

    /// Looks at the settings and at every product that is for sale, for sales inside the state on each of these days. Products are
    /// read once and by pages, so a large catalog needs no more memory than a small one.
    pub async fn judge(&self, app: &App, days: &[Date]) -> Result<Vec<Readiness>> {
        let mut judged: Vec<Judged> = days.iter().map(|day| Judged::start(self, *day)).collect();
        if app.providers.fiscal.as_ref().is_some_and(|fiscal| fiscal.name() == vitrine_enotas::NAME) {
            judged
                .iter_mut()
                .for_each(|one| one.warnings.extend(self.setting(one.day).and_then(|setting| tax::fund_at_enotas(&setting))));
        }
        let mut left_out = LeftOut::of_company(self.company.as_ref());
        let db = app.db().await?;
        let mut after = Uuid::nil();
        loop {
            let page = products(&db, &self.rules, after).await?;
            let Some(last) = page.last() else { break };
            after = last.id.0;
            for one in &mut judged {
                page.iter().for_each(|product| one.add(self, product));
            }
            if left_out.len() < NAMED {
                let names: Vec<(ProductId, &str)> = page.iter().map(|product| (product.id, product.name.as_str())).collect();
                left_out.extend(LeftOut::of_products(&db, &names).await?);
            }
        }
        left_out.truncate(NAMED);
        Ok(judged.into_iter().map(|one| one.finish(self, app, left_out.clone())).collect())
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

/// A day's judgement while products are read.
struct Judged {
    day: Date,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
    /// At most [`NAMED`] of each.
    stopped: Vec<ProductProblems>,
    warned: Vec<ProductProblems>,
    products_total: usize,
    products_warned: usize,
}

impl Judged {
    fn start(known: &Known, day: Date) -> Self {
        Self {
            day,
            problems: known.company_problems.clone(),
            warnings: known.setting_warnings(day),
            stopped: Vec::new(),
            warned: Vec::new(),
            products_total: 0,
            products_warned: 0,
        }
    }

    fn add(&mut self, known: &Known, product: &Product) {
        let mut seen = known.product_problems(product, self.day);
        // What is the settings' is said once.
        hoist(&mut seen.problems, &mut self.problems);
        hoist(&mut seen.warnings, &mut self.warnings);
        let (count, named) = match (seen.problems.is_empty(), seen.warnings.is_empty()) {
            (false, _) => (&mut self.products_total, &mut self.stopped),
            (true, false) => (&mut self.products_warned, &mut self.warned),
            (true, true) => return,
        };
        *count += 1;
        if named.len() < NAMED {
            named.push(seen);
        }
    }

    fn finish(mut self, known: &Known, app: &App, left_out: Vec<LeftOut>) -> Readiness {
        self.stopped.append(&mut self.warned);
        Readiness {
            on: self.day,
            ready: app.providers.fiscal.is_some() && self.problems.is_empty() && self.products_total == 0,
            provider: app.providers.fiscal.as_ref().map(|fiscal| fiscal.name()),
            environment: super::invoice::environment_word(app.config.nfe.environment),
            problems: self.problems,
            warnings: self.warnings,
            products: self.stopped,
            products_total: self.products_total,
            products_warned: self.products_warned,
            rules_change_on: known.rule_days(self.day),
            left_out,
        }
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

/// A product, as far as an invoice tells of it.
#[derive(Debug)]
struct Product {
    id: ProductId,
    name: String,
    ncm: Option<String>,
    cfop: Option<String>,
    origin: Option<i16>,
    tax: TaxData,
}

impl Product {
    /// Of a row with [`WARE_COLUMNS`].
    fn of(row: &Row, id: &str, rules: &TaxRules) -> Self {
        Self {
            id: row.get(id),
            name: row.get("name"),
            ncm: row.get("ncm"),
            cfop: row.get("cfop"),
            origin: row.get("origin"),
            tax: facts::nearest(row.get("tax"), row.get("taxes")).or(&rules.products),
        }
    }
}

/// The next page of products that are for sale, by their ids.
async fn products(db: &impl GenericClient, rules: &TaxRules, after: Uuid) -> Result<Vec<Product>> {
    const PRODUCTS: &str = sql!(
        "SELECT p.id, p.name, ",
        WARE_COLUMNS,
        " FROM products p ",
        CATEGORY_WORDS,
        " WHERE p.id > $1 AND p.active AND p.deleted_at IS NULL ORDER BY p.id LIMIT $2"
    );
    let rows = db::query(db, PRODUCTS, &[&after, &PAGE]).await?;
    Ok(rows.iter().map(|row| Product::of(row, "id", rules)).collect())
}

/// What a checkout knows of the shop's invoices, from its settings.
#[derive(Debug)]
pub struct Door {
    settings: InvoiceSettings,
    known: Known,
}

/// A line whose product could not be invoiced now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unready {
    pub sku: String,
    pub name: String,
    /// In Portuguese, for the shop.
    pub why: String,
}

impl Door {
    /// Of the settings `invoices`, `company` and `taxes`, by their names; `None` where none of them is set. `cnpj`: NFE_CNPJ. Nobody is
    /// asked for the company's city.
    pub fn read(settings: Option<Value>, cnpj: Option<&Cnpj>) -> Self {
        let of = |name: &str| settings.as_ref().and_then(|all| all.get(name)).cloned().unwrap_or_default();
        let company: Option<Company> = serde_json::from_value(of("company")).ok();
        let city = company.as_ref().and_then(|company| company.address.ibge_city.clone());
        Self {
            settings: InvoiceSettings::read(of("invoices")),
            known: Known {
                company_problems: company_problems(cnpj, company.as_ref(), city.map(Some)),
                company,
                rules: serde_json::from_value(of("taxes")).unwrap_or_default(),
            },
        }
    }

    /// The first of the lines that an invoice could not tell of: the first of all where the company's own data are not complete, else the
    /// first whose product lacks what an invoice needs. Each row has [`WARE_COLUMNS`], `product_id`, `sku` and `name`.
    ///
    /// Errors: [`Error::NotReady`], the shop sells no such product.
    pub fn check(&self, lines: &[Row]) -> Result<Option<Unready>> {
        let day = calendar::day_of(jiff::Timestamp::now());
        let unready = lines.iter().find_map(|row| {
            let product = Product::of(row, "product_id", &self.known.rules);
            let mut problems = self.known.company_problems.clone();
            problems.extend(self.known.product_problems(&product, day).problems);
            (!problems.is_empty()).then(|| Unready { sku: row.get("sku"), name: product.name, why: problem::in_words(&problems) })
        });
        match (unready, self.settings.unready_products) {
            (Some(unready), UnreadyProducts::Refuse) => Err(Error::NotReady { sku: unready.sku, name: unready.name }),
            (unready, _) => Ok(unready),
        }
    }
}

/// As an invoice would find them. `city`: by the IBGE's code; `None` where nobody was asked or could say, which is no problem of the
/// company's.
fn company_problems(cnpj: Option<&Cnpj>, company: Option<&Company>, city: Option<Option<String>>) -> Vec<Problem> {
    let Some(company) = company else {
        return vec![Problem::new("company", "Informe os dados da empresa em /api/admin/settings/company")];
    };
    let mut problems = Vec::new();
    let is_known = city.is_some();
    parties::issuer(cnpj, company, city.flatten(), &mut problems);
    problems.retain(|problem| is_known || problem.field != "company.address.ibge_city");
    problems
}
