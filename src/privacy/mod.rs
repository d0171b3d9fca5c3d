//! What the law gives people over their data (LGPD, Lei 13.709/2018, article 18): export and erasure, with an account and without one.
//!
//! | file | what |
//! |---|---|
//! | `http` | export and erasure of an account, by its person |
//! | `guests` | the same without an account, by whoever reads the mailbox that was given |
//! | `erase_guest` | the administrator's erasure and export of a guest |
//! | `erase`, `export`, `export_guest` | the work |

pub mod erase;
mod erase_guest;
pub mod export;
mod export_guest;
mod guests;
mod http;

use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    http::routes(cfg);
    guests::routes(cfg);
    erase_guest::routes(cfg);
}
