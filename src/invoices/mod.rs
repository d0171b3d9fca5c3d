//! The fiscal invoice (NF-e, model 55): one per paid order, emitted by a provider, kept here.
//!
//! A row stands before any provider is called, and its id is the reference under which a repeat makes no second invoice.
//! What would be refused is refused here first, by the name of the field. `build` and `tax` are pure: from an order to every
//! amount on the document. `issue` sends rows, by jobs, and `provider_state` moves them by what the provider says; webhooks only have the
//! provider asked earlier.

mod account;
mod admin_http;
pub mod build;
mod cancel;
mod cancel_request;
mod cfop;
pub mod company;
mod correct;
mod documents;
mod left_out;
mod link;
pub mod facts;
mod files;
mod http;
mod invoice;
mod issue;
pub mod mend;
pub mod pack;
mod parties;
mod provider_state;
mod problem;
pub mod readiness;
mod reform;
pub mod returns;
pub mod rules_watch;
pub mod settings;
mod sold_to;
pub mod store;
mod tax;
mod tax_setting;
mod totals;
mod ware;
mod words;

pub use cancel::{cancel, give_up};
pub use correct::correct;
pub use documents::Document as InvoiceDocument;
pub use files::fetch_files;
pub use issue::{issue, send};

use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(http::danfe).service(http::xml).service(http::show);
    cfg.service(documents::list).service(documents::of_order).service(documents::of_admin).service(documents::accountant);
    cfg.service(admin_http::readiness).service(admin_http::list).service(admin_http::retry);
    cfg.service(admin_http::cancel).service(admin_http::correct).service(admin_http::issue_again);
}
