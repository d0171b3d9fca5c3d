//! Wrong passwords are counted per account, whatever addresses they come from. Whoever was signed in to the account before has a token for
//! the device and counts apart: strangers cannot lock the owner out. The rule stands in `docs/sign-in.md`.

use actix_web::HttpRequest;
use sha2::{Digest, Sha256};
use uuid::Uuid;
use vitrine_kit::Email;

use crate::app::App;
use crate::error::{Error, Result};
use crate::guesses::Guess;
use crate::http::who::DEVICE_COOKIE;

/// Clients without cookies send the token of their device in this header.
pub const HEADER: &str = "x-device-token";

/// The device that a request comes from: a token of ours for this account, if it carries one.
pub fn known_device(app: &App, req: &HttpRequest, email: &Email) -> Option<String> {
    let header = req.headers().get(HEADER).and_then(|value| value.to_str().ok()).map(str::to_owned);
    let token = header.or_else(|| req.cookie(DEVICE_COOKIE).map(|cookie| cookie.value().to_owned()))?;
    app.keys.is_device_token(email, &token).then_some(token)
}

/// Runs one try to sign in, unless there were too many wrong ones: 429. The answer does not depend on whether there is such an account.
pub async fn counted<T>(app: &App, email: &Email, device: Option<&str>, attempt: impl Future<Output = Result<T>>) -> Result<T> {
    let guess = begin(app, email, device).await?;
    let result = attempt.await;
    if let Some(guess) = guess
        && !matches!(result, Err(Error::Unauthorized(_)))
    {
        guess.was_right(); // or it was not looked at: that is no miss
    }
    result
}

async fn begin(app: &App, email: &Email, device: Option<&str>) -> Result<Option<Guess>> {
    let Some(guesses) = &app.password_guesses else { return Ok(None) };
    let mut key = Sha256::new();
    key.update(email.as_str());
    key.update([0]);
    key.update(device.unwrap_or_default());
    // Each try is one of its own, also if the same password is sent twice at once.
    Ok(Some(guesses.begin(key.finalize().into(), &Uuid::new_v4().to_string()).await?))
}
