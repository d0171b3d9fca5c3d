//! What the operator of a shop sees and sets: alerts, jobs, refunds, the inbox, breakers, the audit log, the daily comparison with the
//! providers' books, and the shop's settings.

mod alerts;
mod jobs;
mod machinery;
mod reconciliation;
mod refunds;
mod settings;

use utoipa_actix_web::service_config::ServiceConfig;

pub fn routes(cfg: &mut ServiceConfig<'_>) {
    cfg.service(alerts::list_alerts).service(alerts::acknowledge_alert);
    cfg.service(jobs::list_jobs).service(jobs::retry_jobs).service(jobs::retry_job);
    cfg.service(machinery::list_webhooks).service(machinery::replay_webhook).service(machinery::breakers);
    cfg.service(machinery::list_audit).service(refunds::list_refunds);
    cfg.service(reconciliation::list_reconciliations)
        .service(reconciliation::compare_day)
        .service(reconciliation::show_reconciliation);
    cfg.service(settings::list_settings).service(settings::set_company).service(settings::set_shipping);
    cfg.service(settings::set_payment_methods).service(settings::set_stock).service(settings::set_taxes);
    cfg.service(settings::set_order_limits).service(settings::set_search).service(settings::set_invoices);
}
