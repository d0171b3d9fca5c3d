//! Hears what other processes tell.

use std::time::Duration;

use futures_util::{StreamExt, stream};
use tokio_postgres::AsyncMessage;

use super::connect::Door;
use super::line::Patience;
use crate::config::DatabaseConfig;
use crate::error::{Error, Result};

/// Listens on a connection of its own until that is lost: `heard(None)` once it listens, then `heard(Some(payload))` per notice.
///
/// It asks the database every `DB_ANSWER_WAIT` whether it is there, so a connection that is silent is found within twice that time.
pub async fn listen(config: &DatabaseConfig, channel: &str, heard: impl Fn(Option<&str>)) -> Result<()> {
    let wait = config.answer_wait;
    let ((client, mut connection), _) =
        in_time(config.pool_wait.saturating_add(wait), Door::new(config, Patience::Statement)?.open()).await?;
    let mut messages = stream::poll_fn(|cx| connection.poll_message(cx));
    let notices = async {
        while let Some(message) = messages.next().await {
            if let AsyncMessage::Notification(notice) = message? {
                heard(Some(notice.payload()));
            }
        }
        Err(Error::Internal("the listening connection ended".into()))
    };
    let heartbeat = async {
        in_time(wait, client.batch_execute(&format!("LISTEN {channel}"))).await?;
        heard(None);
        // Ends with the connection: what breaks without a word is found out here.
        loop {
            tokio::time::sleep(wait).await;
            in_time(wait, client.batch_execute("")).await?;
        }
    };
    tokio::select! {
        ended = notices => ended,
        ended = heartbeat => ended,
    }
}

async fn in_time<T>(most: Duration, asked: impl Future<Output = Result<T, tokio_postgres::Error>>) -> Result<T> {
    let answer = tokio::time::timeout(most, asked).await;
    Ok(answer.map_err(|_| Error::Internal("the listening connection is dead".into()))??)
}
