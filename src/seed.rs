//! The first admin, and the demo shop.

use secrecy::ExposeSecret;

use crate::app::App;
use crate::config::Config;
use crate::db;
use crate::error::Result;
use crate::ids::UserId;

/// Makes the admin that `ADMIN_EMAIL` names, when nobody has that e-mail yet. An existing person is left alone.
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
        tracing::info!("the first admin was made");
    }
    Ok(())
}

/// Fills an empty catalog with the demo shop.
pub async fn demo(_config: &Config) -> Result<()> {
    Ok(())
}
