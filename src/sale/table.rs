//! The table of transitions as the audit and the documentation show it.

use super::states::{
    DisputeState as Dispute, InvoiceStatus as Invoice, MessageStatus as Message, OrderPaymentStatus as Money,
    OrderStatus as Order, PaymentStatus as Payment, RefundStatus as Refund, SaleState as Sale,
};
use super::transitions::{
    DISPUTE_STEPS, INVOICE_STEPS, MESSAGE_STEPS, ORDER_STEPS, PAYMENT_STEPS, REFUND_STEPS, SALE_STEPS, dispute_may, invoice_may,
    message_may, money_may, order_may, payment_may, refund_may, sale_may,
};

/// The table as SQL: rows of `(subject, from_state, to_state)` as `order_history` tells them, for the audit.
pub fn as_sql_values() -> String {
    let mut rows = Vec::new();
    let mut row = |subject: &str, from: &str, to: &str| rows.push(format!("('{subject}', '{from}', '{to}')"));
    for from in Order::ALL {
        Order::ALL.iter().filter(|to| order_may(*from, **to)).for_each(|to| row("order", from.as_str(), to.as_str()));
    }
    for from in Money::ALL {
        Money::ALL.iter().filter(|to| money_may(*from, **to)).for_each(|to| row("payment_status", from.as_str(), to.as_str()));
    }
    for from in Payment::ALL {
        Payment::ALL.iter().filter(|to| payment_may(*from, **to)).for_each(|to| row("payment", from.as_str(), to.as_str()));
    }
    for from in Refund::ALL {
        Refund::ALL.iter().filter(|to| refund_may(*from, **to)).for_each(|to| row("refund", from.as_str(), to.as_str()));
    }
    for from in Sale::ALL {
        Sale::ALL.iter().filter(|to| sale_may(*from, **to)).for_each(|to| row("sale", from.as_str(), to.as_str()));
    }
    for from in Invoice::ALL {
        Invoice::ALL.iter().filter(|to| invoice_may(*from, **to)).for_each(|to| row("invoice", from.as_str(), to.as_str()));
    }
    for from in Dispute::ALL {
        Dispute::ALL.iter().filter(|to| dispute_may(*from, **to)).for_each(|to| row("dispute", from.as_str(), to.as_str()));
    }
    for from in Message::ALL {
        Message::ALL.iter().filter(|to| message_may(*from, **to)).for_each(|to| row("message", from.as_str(), to.as_str()));
    }
    rows.join(", ")
}

/// The table as Markdown: what stands in `docs/states.md`.
pub fn as_markdown() -> String {
    fn words<T: Copy>(states: &[T], word: fn(T) -> &'static str) -> String {
        states.iter().map(|state| format!("`{}`", word(*state))).collect::<Vec<_>>().join(", ")
    }
    let mut text = String::from("| an order is | from | to | where its money is | and becomes |\n|---|---|---|---|---|\n");
    for step in ORDER_STEPS {
        text.push_str(&format!(
            "| {} | {} | `{}` | {} | {} |\n",
            step.name,
            words(step.from, Order::as_str),
            step.to,
            words(step.money_from, Money::as_str),
            step.money_to.map_or_else(|| "–".to_owned(), |to| format!("`{to}`")),
        ));
    }
    text.push_str("\n| a payment may go from | to |\n|---|---|\n");
    for (from, to) in PAYMENT_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Payment::as_str), words(to, Payment::as_str)));
    }
    text.push_str("\n| a refund may go from | to |\n|---|---|\n");
    for (from, to) in REFUND_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Refund::as_str), words(to, Refund::as_str)));
    }
    text.push_str("\n| a sale may go from | to |\n|---|---|\n");
    for (from, to) in SALE_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Sale::as_str), words(to, Sale::as_str)));
    }
    text.push_str("\n| an invoice may go from | to |\n|---|---|\n");
    for (from, to) in INVOICE_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Invoice::as_str), words(to, Invoice::as_str)));
    }
    text.push_str("\n| a dispute may go from | to |\n|---|---|\n");
    for (from, to) in DISPUTE_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Dispute::as_str), words(to, Dispute::as_str)));
    }
    text.push_str("\n| a message may go from | to |\n|---|---|\n");
    for (from, to) in MESSAGE_STEPS {
        text.push_str(&format!("| {} | {} |\n", words(from, Message::as_str), words(to, Message::as_str)));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_document_shows_this_table() {
        let document = include_str!("../../docs/states.md");
        assert!(document.contains(&as_markdown()), "docs/states.md must hold:\n{}", as_markdown());
    }
}
