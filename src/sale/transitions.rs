//! The one table of transitions. The conditional UPDATEs take their states from it, the audit holds every history to it,
//! `docs/states.md` shows it, and its property tests walk it.

use super::states::{
    DisputeState as Dispute, InvoiceStatus as Invoice, MessageStatus as Message, OrderPaymentStatus as Money,
    OrderStatus as Order, PaymentStatus as Payment, RefundStatus as Refund, SaleState as Sale,
};

/// A step that an order takes. It may be taken from any of `from` where its money is in any of `money_from`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OrderStep {
    /// What happens, in a word or two.
    pub name: &'static str,
    pub from: &'static [Order],
    pub to: Order,
    pub money_from: &'static [Money],
    /// `None`: the state of its money stays.
    pub money_to: Option<Money>,
    /// `Some`: only an order that costs nothing takes it, or only one that costs something.
    pub is_free: Option<bool>,
}

/// Its money came in time.
pub const PAY: OrderStep = OrderStep {
    name: "paid",
    from: &[Order::Pending],
    to: Order::Processing,
    money_from: &[Money::PendingPayment],
    money_to: Some(Money::Paid),
    is_free: None,
};
/// Its money came after it had ended unpaid, and its stock could be had again.
pub const REVIVE: OrderStep = OrderStep {
    name: "paid late, stock taken again",
    from: &[Order::Cancelled],
    to: Order::Processing,
    money_from: &[Money::Expired, Money::Cancelled],
    money_to: Some(Money::Paid),
    is_free: None,
};
/// It was not paid in time.
pub const EXPIRE: OrderStep = OrderStep {
    name: "not paid in time",
    from: &[Order::Pending],
    to: Order::Cancelled,
    money_from: &[Money::PendingPayment, Money::Failed],
    money_to: Some(Money::Expired),
    is_free: None,
};
/// It was cancelled before it was paid.
pub const CANCEL_UNPAID: OrderStep = OrderStep {
    name: "cancelled before it was paid",
    from: &[Order::Pending],
    to: Order::Cancelled,
    money_from: &[Money::PendingPayment, Money::Failed],
    money_to: Some(Money::Cancelled),
    is_free: None,
};
/// It was cancelled after it was paid: its money is refunded, and what that does to `payment_status` follows.
pub const CANCEL_PAID: OrderStep = OrderStep {
    name: "cancelled after it was paid",
    from: &[Order::Processing],
    to: Order::Cancelled,
    money_from: &[Money::Paid, Money::PartiallyRefunded, Money::Refunded],
    money_to: None,
    is_free: Some(false),
};
/// It was cancelled, and had cost nothing. No refund follows that could change its `payment_status`, so this does: nothing is left of it.
pub const CANCEL_FREE: OrderStep = OrderStep {
    name: "cancelled, and cost nothing",
    from: &[Order::Processing],
    to: Order::Cancelled,
    money_from: &[Money::Paid],
    money_to: Some(Money::Refunded),
    is_free: Some(true),
};
/// Its parcel left the shop.
pub const SHIP: OrderStep = OrderStep {
    name: "shipped",
    from: &[Order::Processing],
    to: Order::Shipped,
    money_from: &[Money::Paid, Money::PartiallyRefunded],
    money_to: None,
    is_free: None,
};
/// Its parcel is with the buyer.
pub const DELIVER: OrderStep = OrderStep {
    name: "delivered",
    from: &[Order::Shipped],
    to: Order::Delivered,
    money_from: &[Money::Paid, Money::PartiallyRefunded, Money::Refunded],
    money_to: None,
    is_free: None,
};
/// All of its goods came back after they had left, and all of its money is back or on its way.
pub const RETURN: OrderStep = OrderStep {
    name: "returned",
    from: &[Order::Shipped, Order::Delivered],
    to: Order::Returned,
    money_from: &[Money::Paid, Money::PartiallyRefunded, Money::Refunded],
    money_to: None,
    is_free: Some(false),
};
/// All of its goods came back after they had left, and it had cost nothing.
pub const RETURN_FREE: OrderStep = OrderStep {
    name: "returned, and cost nothing",
    from: &[Order::Shipped, Order::Delivered],
    to: Order::Returned,
    money_from: &[Money::Paid],
    money_to: Some(Money::Refunded),
    is_free: Some(true),
};

/// Every step of an order.
pub const ORDER_STEPS: [OrderStep; 10] =
    [PAY, REVIVE, EXPIRE, CANCEL_UNPAID, CANCEL_PAID, CANCEL_FREE, SHIP, DELIVER, RETURN, RETURN_FREE];

/// What refunds and lost disputes do to the money of an order, by the sums alone and in either direction: a refund that comes back
/// and a dispute that is won after all undo what was done.
pub const MONEY_BY_SUMS: [Money; 3] = [Money::Paid, Money::PartiallyRefunded, Money::Refunded];

/// The steps of a payment: from → to.
pub const PAYMENT_STEPS: &[(&[Payment], &[Payment])] = &[
    // The answer to the call that creates it. One that was taken to be lost may still be there.
    (&[Payment::Creating, Payment::Unknown, Payment::Failed], &[Payment::Pending]),
    (&[Payment::Creating], &[Payment::Unknown]),
    // It ends without money.
    (&Payment::LIVE, &[Payment::Failed, Payment::Expired, Payment::Cancelled]),
    // Money came. It beats every end without money, however late it is.
    (
        &[Payment::Creating, Payment::Unknown, Payment::Pending, Payment::Failed, Payment::Expired, Payment::Cancelled],
        &[Payment::Paid, Payment::Surplus],
    ),
    // By the sums of what went back and of what disputes took, and by whether one is open, in either direction.
    (&OF_ACCEPTED, &OF_ACCEPTED),
    (&OF_SURPLUS, &OF_SURPLUS),
];

/// What the payment that an order took can be once its money has come.
const OF_ACCEPTED: [Payment; 6] = [
    Payment::Paid,
    Payment::PartiallyRefunded,
    Payment::Refunded,
    Payment::Disputed,
    Payment::PartiallyChargedBack,
    Payment::ChargedBack,
];
/// The same of a surplus.
const OF_SURPLUS: [Payment; 4] = [Payment::Surplus, Payment::Refunded, Payment::Disputed, Payment::ChargedBack];

/// The steps of a refund: from → to.
pub const REFUND_STEPS: &[(&[Refund], &[Refund])] = &[
    (
        &[Refund::Pending, Refund::Processing, Refund::Unknown, Refund::Waiting],
        &[Refund::Pending, Refund::Processing, Refund::Unknown, Refund::Waiting, Refund::Done, Refund::Failed],
    ),
    // The buyer's bank would not take it: the money is back with the shop.
    (&[Refund::Done], &[Refund::Failed]),
    // The provider said that it failed, and its books say that it was done, or the shop paid it another way; or a person has it
    // tried once more.
    (&[Refund::Failed], &[Refund::Done, Refund::Pending]),
];

/// The steps of a paid order's sale before it leaves: from → to.
pub const SALE_STEPS: &[(&[Sale], &[Sale])] = &[
    // A refund of all its money failed.
    (&[Sale::On], &[Sale::OnHold]),
    // By a person's word alone.
    (&[Sale::OnHold], &[Sale::On]),
];

/// The steps of an NF-e: from → to. What stands at the tax authority counts, whatever was thought of it here.
pub const INVOICE_STEPS: &[(&[Invoice], &[Invoice])] = &[
    (&[Invoice::Pending, Invoice::Rejected], &[Invoice::Processing]),
    (&[Invoice::Pending, Invoice::Processing], &[Invoice::Rejected, Invoice::Denied]),
    // It is tried again: its cause was mended, or was the shop's account and not the invoice.
    (&[Invoice::Processing, Invoice::Rejected], &[Invoice::Pending]),
    (&[Invoice::Pending, Invoice::Processing, Invoice::Rejected, Invoice::Denied, Invoice::Cancelled], &[Invoice::Authorized]),
    (&[Invoice::Pending, Invoice::Processing, Invoice::Rejected, Invoice::Denied, Invoice::Authorized], &[Invoice::Cancelled]),
];

/// The steps of a dispute: from → to.
pub const DISPUTE_STEPS: &[(&[Dispute], &[Dispute])] = &[
    // It goes its way, and ends. A word that says nothing certain keeps it open.
    (&[Dispute::Open, Dispute::UnderReview, Dispute::Unclear], Dispute::ALL),
    // An appeal wins it; or the provider's books, read after the news, have it otherwise.
    (
        &[Dispute::Won, Dispute::Lost, Dispute::Closed],
        &[Dispute::Open, Dispute::UnderReview, Dispute::Won, Dispute::Lost, Dispute::Closed],
    ),
];

/// The steps of a message: from → to.
pub const MESSAGE_STEPS: &[(&[Message], &[Message])] = &[
    // It is handed over, or given up.
    (&[Message::Queued], &[Message::Sent, Message::Failed]),
    // An administrator has it or its job tried again; or an SMS is delivered whose telephone was off.
    (&[Message::Failed], &[Message::Queued, Message::Sent, Message::Delivered]),
    // What the provider tells of it.
    (&[Message::Sent], &[Message::Delivered, Message::Bounced, Message::Failed]),
    // The reader complains after the delivery.
    (&[Message::Delivered], &[Message::Bounced]),
];

/// Whether a payment may go from one state to another.
pub fn payment_may(from: Payment, to: Payment) -> bool {
    from != to && PAYMENT_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether a refund may go from one state to another.
pub fn refund_may(from: Refund, to: Refund) -> bool {
    from != to && REFUND_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether a sale may go from one state to another.
pub fn sale_may(from: Sale, to: Sale) -> bool {
    from != to && SALE_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether an invoice may go from one state to another.
pub fn invoice_may(from: Invoice, to: Invoice) -> bool {
    INVOICE_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether a dispute may go from one state to another.
pub fn dispute_may(from: Dispute, to: Dispute) -> bool {
    from != to && DISPUTE_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether a message may go from one state to another.
pub fn message_may(from: Message, to: Message) -> bool {
    MESSAGE_STEPS.iter().any(|(sources, targets)| sources.contains(&from) && targets.contains(&to))
}

/// Whether the `payment_status` of an order may go from one state to another.
pub fn money_may(from: Money, to: Money) -> bool {
    let by_step = ORDER_STEPS.iter().any(|step| step.money_from.contains(&from) && step.money_to == Some(to));
    from != to && (by_step || (MONEY_BY_SUMS.contains(&from) && MONEY_BY_SUMS.contains(&to)))
}

/// Whether the `status` of an order may go from one state to another.
pub fn order_may(from: Order, to: Order) -> bool {
    ORDER_STEPS.iter().any(|step| step.from.contains(&from) && step.to == to)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Where an order begins: how far it is, and what its money is. One that costs nothing is paid as it is placed.
    fn beginning(is_free: bool) -> (Order, Money) {
        if is_free { (Order::Processing, Money::Paid) } else { (Order::Pending, Money::PendingPayment) }
    }

    fn step(at: (Order, Money), is_free: bool, step: &OrderStep) -> Option<(Order, Money)> {
        let fits =
            step.from.contains(&at.0) && step.money_from.contains(&at.1) && step.is_free.is_none_or(|free| free == is_free);
        fits.then(|| (step.to, step.money_to.unwrap_or(at.1)))
    }

    proptest! {
        /// Whatever happens in whatever order: nothing unpaid is prepared or leaves the shop, and nothing that ended moves on but by
        /// money that came late.
        #[test]
        fn an_order_never_leaves_unpaid_however_it_got_there(
            is_free: bool,
            choices in prop::collection::vec((0_usize..ORDER_STEPS.len(), 0_usize..MONEY_BY_SUMS.len()), 0..40)
        ) {
            let mut at = beginning(is_free);
            for (choice, sum) in choices {
                let before = at;
                if let Some(after) = step(at, is_free, &ORDER_STEPS[choice]) {
                    at = after;
                } else if !is_free && MONEY_BY_SUMS.contains(&at.1) {
                    at.1 = MONEY_BY_SUMS[sum];
                }
                if is_free {
                    let nothing_is_left = matches!(at.0, Order::Cancelled | Order::Returned);
                    prop_assert_eq!(at.1, if nothing_is_left { Money::Refunded } else { Money::Paid });
                }
                let has_money = MONEY_BY_SUMS.contains(&at.1);
                prop_assert_eq!(has_money, !matches!(at.1, Money::PendingPayment | Money::Failed | Money::Expired | Money::Cancelled));
                if matches!(at.0, Order::Processing | Order::Shipped | Order::Delivered | Order::Returned) {
                    prop_assert!(has_money, "{:?} after {:?}", at, before);
                }
                if before.0 == Order::Returned {
                    prop_assert_eq!(at.0, Order::Returned);
                }
                if before.0 == Order::Cancelled && at.0 != Order::Cancelled {
                    prop_assert_eq!(at, (Order::Processing, Money::Paid));
                    prop_assert!(!MONEY_BY_SUMS.contains(&before.1), "an order that was cancelled with its money does not come back");
                }
            }
        }

        /// A payment that has captured money never again ends without it.
        #[test]
        fn money_that_came_is_never_forgotten(choices in prop::collection::vec(0_usize..Payment::ALL.len(), 0..40)) {
            let (mut at, mut has_captured) = (Payment::Creating, false);
            for choice in choices {
                let to = Payment::ALL[choice];
                if payment_may(at, to) {
                    at = to;
                }
                has_captured |= at.is_captured();
                prop_assert_eq!(at.is_captured(), has_captured);
            }
        }
    }

    #[test]
    fn no_step_of_an_invoice_stays_where_it_is_and_one_that_stands_only_ends() {
        for status in Invoice::ALL {
            assert!(!invoice_may(*status, *status), "{status}");
        }
        let after_authorized: Vec<_> = Invoice::ALL.iter().filter(|to| invoice_may(Invoice::Authorized, **to)).collect();
        assert_eq!(after_authorized, [&Invoice::Cancelled]);
    }

    #[test]
    fn a_message_that_the_provider_took_is_never_queued_again_and_a_bounce_is_final() {
        for taken in [Message::Sent, Message::Delivered, Message::Bounced] {
            assert!(!message_may(taken, Message::Queued), "{taken}");
        }
        for status in Message::ALL {
            assert!(!message_may(Message::Bounced, *status), "{status}");
            assert!(!message_may(*status, *status), "{status}");
        }
    }

    #[test]
    fn every_state_of_an_order_can_be_reached() {
        for is_free in [false, true] {
            let mut seen = vec![beginning(is_free)];
            let mut next = 0;
            while let Some(at) = seen.get(next).copied() {
                let by_steps = ORDER_STEPS.iter().filter_map(|one| step(at, is_free, one));
                let sums = if is_free || !MONEY_BY_SUMS.contains(&at.1) { &[][..] } else { &MONEY_BY_SUMS[..] };
                let reached: Vec<_> = by_steps.chain(sums.iter().map(|money| (at.0, *money))).collect();
                for new in reached {
                    if !seen.contains(&new) {
                        seen.push(new);
                    }
                }
                next += 1;
            }
            let unreached: Vec<_> = Order::ALL.iter().filter(|state| !seen.iter().any(|(order, _)| order == *state)).collect();
            assert_eq!(unreached, if is_free { vec![&Order::Pending] } else { Vec::new() });
        }
    }
}
