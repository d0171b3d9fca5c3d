//! What the tax authority was told to do, whatever it is asked.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// What the tax authority was told to do, whatever it is asked.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    /// Nothing is decided while it is.
    is_away: AtomicBool,
    orders: Mutex<Vec<Order>>,
}

/// For the next invoices to be decided.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    count: u32,
    pub(crate) is_denial: bool,
    pub(crate) code: String,
    pub(crate) message: String,
}

impl Authority {
    pub(crate) fn is_away(&self) -> bool {
        self.is_away.load(Ordering::Relaxed)
    }

    pub(crate) fn set_away(&self, is_away: bool) {
        self.is_away.store(is_away, Ordering::Relaxed);
    }

    pub(crate) fn refuse_next(&self, count: u32, is_denial: bool, code: &str, message: &str) {
        let (code, message) = (code.to_owned(), message.to_owned());
        self.orders().push(Order { count, is_denial, code, message });
    }

    pub(crate) fn take(&self) -> Option<Order> {
        let mut orders = self.orders();
        orders.retain(|order| order.count > 0);
        let first = orders.first_mut()?;
        first.count -= 1;
        Some(first.clone())
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
