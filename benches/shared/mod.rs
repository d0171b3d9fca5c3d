//! What several measurements use: a shop in processes of its own, its buyers, and what processes use up.
#![allow(dead_code, reason = "each measurement uses its part")]

pub mod buyers;
pub mod processes;
pub mod shop;

use tokio_postgres::{Client, NoTls};

pub async fn connect(url: &str) -> Client {
    let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
    actix_web::rt::spawn(connection);
    client
}

/// The middle one of the figures.
pub fn median(figures: &[f64]) -> f64 {
    let mut figures = figures.to_vec();
    figures.sort_unstable_by(f64::total_cmp);
    figures[figures.len() / 2]
}
