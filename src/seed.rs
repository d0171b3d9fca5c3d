//! The first admin, and the demo shop.

use secrecy::ExposeSecret;

use crate::app::App;
use crate::catalog;
use crate::catalog::import::Stock;
use crate::cause::Actor;
use crate::config::Config;
use crate::db::{self, Patience};
use crate::error::Result;
use crate::ids::{CouponId, UserId};

/// Creates the admin that `ADMIN_EMAIL` names, if nobody has that e-mail. An existing account is not changed.
pub async fn first_admin(app: &App) -> Result<()> {
    const EXISTS: &str = "SELECT FROM users WHERE email = $1";
    const INSERT: &str = "
        INSERT INTO users (id, name, email, password_hash, role) VALUES ($1, 'Administrador', $2, $3, 'admin') ON CONFLICT (email) DO NOTHING";
    let Some((email, password)) = &app.config.auth.first_admin else { return Ok(()) };
    if db::query_opt(&app.db().await?, EXISTS, &[&email.as_str()]).await?.is_some() {
        return Ok(());
    }
    let hash = app.hasher.hash(password.expose_secret().into()).await?;
    if db::execute(&app.db().await?, INSERT, &[&UserId::new(), &email.as_str(), &hash]).await? == 1 {
        tracing::info!("the first admin was created");
    }
    Ok(())
}

/// The lock held while seeding, so that several servers may start at once.
const SEED_LOCK: i64 = 0x7669_7472_7365_6564;

/// Loads the demo shop into an empty catalog; a catalog that ever had a product is not changed.
pub async fn demo(config: &Config) -> Result<()> {
    const CATALOG: &str = include_str!("../demo/catalog.csv");
    const COUPONS: &str = "
        INSERT INTO coupons (id, code, kind, value, min_subtotal_cents) VALUES
            ($1, 'BEMVINDO10', 'percent', 10, NULL),
            ($2, 'FRETEGRATIS', 'free_shipping', 0, 19900),
            ($3, 'DESCONTO20', 'fixed', 2000, 10000)
        ON CONFLICT (code) DO NOTHING";
    const SETTINGS: &str = "
        INSERT INTO settings (name, value) VALUES ('company', $1), ('taxes', $2), ('order_limits', $3) ON CONFLICT (name) DO NOTHING";
    let pool = db::pool(&config.database, Patience::Long)?;
    let mut db = pool.get().await?;
    let tx = db.transaction().await?;
    db::execute(&tx, "SELECT pg_advisory_xact_lock($1)", &[&SEED_LOCK]).await?;
    if db::query_opt(&tx, "SELECT FROM products LIMIT 1", &[]).await?.is_some() {
        return Ok(());
    }
    let sheet = catalog::import::read(CATALOG.as_bytes())?;
    let imported = catalog::import::apply(&tx, sheet.products, Stock::Set, Actor::System).await?;
    db::execute(&tx, COUPONS, &[&CouponId::new(), &CouponId::new(), &CouponId::new()]).await?;
    db::execute(&tx, SETTINGS, &[&company(), &taxes(), &no_limits()]).await?;
    tx.commit().await?;
    tracing::info!(products = imported.products, variants = imported.variants, "the demo shop was loaded");
    Ok(())
}

/// The demo shop's company. It does not exist; the sandbox's tax authority knows its CNPJ.
fn company() -> serde_json::Value {
    serde_json::json!({
        "legal_name": "Vitrine Demonstração Ltda", "trade_name": "Vitrine", "cnpj": "11222333000181", "state_registration": "110042490114",
        "tax_regime": "simples", "invoice_series": 1, "phone": "+551133334444",
        "address": {"cep": "01310100", "street": "Avenida Paulista", "number": "1000", "complement": null, "district": "Bela Vista",
                    "city": "São Paulo", "state": "SP", "ibge_city": "3550308"}
    })
}

/// In the demo shop one person plays all customers, from one address.
fn no_limits() -> serde_json::Value {
    let off = serde_json::json!({"per_document": 0, "per_email": 0, "per_address": 0});
    serde_json::json!({"unpaid_orders": off, "unpaid_units": off, "units_per_line": 0})
}

fn taxes() -> serde_json::Value {
    serde_json::json!({"products": {"csosn": "102", "pis_cst": "49", "cofins_cst": "49"}})
}
