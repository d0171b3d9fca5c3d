//! What the inbox keeps of an event: the fields that a later reading needs, and those that tell the operator what it was about.
//! Names, addresses and documents of payers and the secret of a card payment are not kept.

use serde_json::{Map, Value};

/// Paths of the fields that are kept of a provider's events. A list has the path of its items.
#[rustfmt::skip] // a line per thing, not per field
fn fields_of(provider: &str) -> &'static [&'static str] {
    match provider {
        "propay" => &[
            "id", "event", "payment_id", "order_id", "refund_id", "txid", "amount_cents", "currency", "end_to_end_id", "status",
            "paid_at", "created_at", "failure_code",
        ],
        "openpix" => &[
            "event", "evento", "charge.correlationID", "charge.status", "charge.value", "pix.correlationID", "pix.endToEndId",
            "pix.value", "pix.charge.correlationID", "originalTransaction.charge.correlationID", "refund.correlationID",
            "refund.status", "refundTransaction.correlationID", "refundTransaction.endToEndId", "pixTransactionRefund.correlationID",
            "dispute.id", "dispute.endToEndId", "dispute.status", "dispute.value", "dispute.disputeReason", "dispute.createdAt",
        ],
        "bacen" => &[
            "pix.endToEndId", "pix.txid", "pix.chave", "pix.valor", "pix.horario", "pix.devolucoes.id", "pix.devolucoes.rtrId",
            "pix.devolucoes.valor", "pix.devolucoes.status", "pix.devolucoes.natureza", "pix.devolucoes.motivo",
        ],
        "stripe" => &[
            "id", "type", "created", "livemode", "data.object.id", "data.object.object", "data.object.amount",
            "data.object.amount_received", "data.object.amount_refunded", "data.object.currency", "data.object.status",
            "data.object.reason", "data.object.failure_reason", "data.object.created", "data.object.livemode", "data.object.latest_charge",
            "data.object.latest_charge.id", "data.object.latest_charge.created", "data.object.latest_charge.amount_captured",
            "data.object.payment_intent", "data.object.payment_intent.id", "data.object.charge", "data.object.charge.id", "data.object.metadata.payment_id",
            "data.object.metadata.order_id", "data.object.metadata.refund_id", "data.object.last_payment_error.code",
            "data.object.last_payment_error.decline_code", "data.object.last_payment_error.message",
            "data.object.evidence_details.due_by", "data.object.balance_transactions.id", "data.object.balance_transactions.amount",
        ],
        "melhorenvio" => &[
            "event", "data.id", "data.protocol", "data.status", "data.price", "data.tracking", "data.self_tracking",
            "data.melhorenvio_tracking", "data.tags", "data.tags.tag", "data.options.tags", "data.options.tags.tag",
            "data.generated_at", "data.posted_at", "data.delivered_at", "data.canceled_at", "data.expired_at", "data.updated_at",
        ],
        // Replaying these reads the order's invoices, so these fields are only shown to the operator.
        "focusnfe" => &["ref", "status", "status_sefaz", "chave_nfe", "numero", "serie"],
        "enotas" => &["nfeId", "nfeStatus", "nfeNumero", "nfeSerie", "nfeChaveAcesso"],
        _ => &[],
    }
}

/// The part of a body that is kept. It is empty if the body is not JSON.
pub(super) fn kept_fields(provider: &str, body: &[u8]) -> Vec<u8> {
    let given: Value = serde_json::from_slice(body).unwrap_or_default();
    let kept = pick_fields(&given, "", fields_of(provider));
    kept.map(|kept| kept.to_string().into_bytes()).unwrap_or_default()
}

/// The part of a value that has one of these paths. An object without any is left out; a list is kept even if it is empty.
fn pick_fields(value: &Value, path: &str, fields: &[&str]) -> Option<Value> {
    match value {
        Value::Object(given) => {
            let mut kept = Map::new();
            for (name, value) in given {
                let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
                if let Some(value) = pick_fields(value, &path, fields) {
                    kept.insert(name.clone(), value);
                }
            }
            (!kept.is_empty()).then_some(Value::Object(kept))
        }
        Value::Array(items) => {
            let may_hold_some =
                fields.iter().any(|field| field.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')));
            may_hold_some.then(|| items.iter().filter_map(|item| pick_fields(item, path, fields)).collect())
        }
        leaf => fields.contains(&path).then(|| leaf.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use vitrine_kit::breaker::BreakerConfig;
    use vitrine_kit::pix::{PixNews, PixProvider};

    use super::*;

    fn kept(provider: &str, body: Value) -> Value {
        serde_json::from_slice(&kept_fields(provider, body.to_string().as_bytes())).unwrap_or_default()
    }

    #[test]
    fn payers_and_secrets_are_not_kept_and_what_a_later_reading_needs_is() {
        let charge = json!({"event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": "c", "value": 100,
            "customer": {"name": "Ana", "email": "ana@example.com", "taxID": {"taxID": "52998224725", "type": "BR:CPF"}}}, "pix": {"payer": {"name": "Ana"}}});
        assert_eq!(
            kept("openpix", charge),
            json!({"event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": "c", "value": 100}})
        );
        let pix = json!({"pix": [{"endToEndId": "E1", "txid": "t", "valor": "1.00", "infoPagador": "Ana", "pagador": {"cpf": "52998224725"},
            "devolucoes": [{"id": "d", "status": "DEVOLVIDO", "motivo": "fraude", "horario": {"nome": "Ana"}}]}]});
        assert_eq!(
            kept("bacen", pix),
            json!({"pix": [{"endToEndId": "E1", "txid": "t", "valor": "1.00", "devolucoes": [{"id": "d", "status": "DEVOLVIDO", "motivo": "fraude"}]}]})
        );
        let intent = json!({"id": "evt", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi", "client_secret": "s",
            "receipt_email": "ana@example.com", "latest_charge": {"id": "ch", "created": 5, "billing_details": {"name": "Ana"}},
            "metadata": {"payment_id": "p"}, "balance_transactions": []}}});
        assert_eq!(
            kept("stripe", intent),
            json!({"id": "evt", "type": "payment_intent.succeeded", "data": {"object": {"id": "pi", "latest_charge": {"id": "ch", "created": 5},
                "metadata": {"payment_id": "p"}, "balance_transactions": []}}})
        );
        let label = json!({"event": "order.posted", "data": {"id": 1, "to": {"name": "Ana"}, "tags": ["t"], "options": {"tags": [{"tag": "t", "url": "u"}]}}});
        assert_eq!(
            kept("melhorenvio", label),
            json!({"event": "order.posted", "data": {"id": 1, "tags": ["t"], "options": {"tags": [{"tag": "t"}]}}})
        );
    }

    fn clients() -> Vec<Box<dyn PixProvider>> {
        let (timeout, breaker) = (std::time::Duration::from_secs(5), BreakerConfig::default());
        let url = || "http://127.0.0.1:9".to_owned();
        let propay = vitrine_propay::ProPayConfig {
            base_url: url(),
            outgoing_secret: "out".into(),
            incoming_secret: "in".into(),
            timeout,
            breaker,
        };
        let openpix = vitrine_openpix::OpenPixConfig {
            base_url: url(),
            app_id: "app".into(),
            webhook_secret: None,
            public_key_pem: None,
            timeout,
            calls_per_second: vitrine_openpix::CALLS_PER_SECOND,
            breaker,
        };
        vec![
            Box::new(vitrine_propay::ProPay::new(propay).expect("ProPay")),
            Box::new(vitrine_openpix::OpenPix::new(openpix).expect("OpenPix")),
        ]
    }

    #[test]
    fn every_event_of_a_pix_reads_the_same_from_what_is_kept() {
        let id = "01a23135-45fa-7781-8af7-fbe4ac4d1dcc";
        let pix = json!({"id": "evt", "payment_id": id, "order_id": id, "refund_id": id, "txid": "t", "amount_cents": 1791, "currency": "BRL",
            "end_to_end_id": "E1", "paid_at": "2026-12-01T10:45:04Z", "created_at": "2026-12-01T10:45:04Z", "failure_code": "insufficient_balance",
            "payer_name": "Ana"});
        let event = |name: &str| {
            let mut body = pix.clone();
            body["event"] = json!(name);
            body
        };
        let propay = ["payment.paid", "payment.expired", "payment.cancelled", "refund.done", "refund.failed"].map(event);
        let dispute = json!({"event": "OPENPIX:DISPUTE_CREATED", "dispute": {"id": "d", "endToEndId": "E1", "status": "IN_REVIEW", "value": "6451",
            "disputeReason": "Golpe", "createdAt": "2026-12-01T10:45:04Z", "name": "Ana", "email": "ana@example.com"}});
        let charge = json!({"event": "OPENPIX:CHARGE_COMPLETED", "charge": {"correlationID": id, "customer": {"name": "Ana"}}});
        let refund = json!({"event": "OPENPIX:TRANSACTION_REFUND_RECEIVED", "refund": {"correlationID": id}, "originalTransaction": {"charge": {"correlationID": id}},
            "payer": {"name": "Ana"}});
        for client in clients() {
            let bodies =
                if client.name() == "propay" { propay.to_vec() } else { vec![dispute.clone(), charge.clone(), refund.clone()] };
            for body in bodies {
                let (name, body) = (body["event"].clone(), body.to_string().into_bytes());
                let kept = kept_fields(client.name(), &body);
                assert!(!String::from_utf8_lossy(&kept).contains("Ana"), "{name}");
                let read = |body: Vec<u8>| client.reread(&body.into()).into_iter().map(|notice| notice.news).collect::<Vec<_>>();
                let whole = read(body);
                assert!(!whole.contains(&PixNews::Other), "{name} says nothing");
                assert_eq!(read(kept), whole, "{name}");
            }
        }
    }

    #[test]
    fn an_event_of_a_label_reads_the_same_without_its_names() {
        let body = include_bytes!("../../integrations/melhorenvio/fixtures/webhook.json");
        let now = jiff::Timestamp::UNIX_EPOCH;
        let read = |body: Vec<u8>| {
            let news = vitrine_melhorenvio::reread(&body.into(), now);
            (news.event, news.label, news.status, news.tells)
        };
        let (whole, kept) = (read(body.to_vec()), read(kept_fields("melhorenvio", body)));
        assert!(whole.1.is_some());
        assert_eq!(kept, whole);
    }

    #[test]
    fn nothing_is_kept_of_a_body_that_is_not_json_or_of_an_unknown_provider() {
        assert_eq!(kept_fields("openpix", b"\xff not json"), b"");
        assert_eq!(kept_fields("openpix", br#"{"nome": "Ana"}"#), b"");
        assert_eq!(kept_fields("somebody", br#"{"event": "x"}"#), b"");
    }
}
