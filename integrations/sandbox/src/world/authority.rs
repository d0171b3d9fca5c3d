//! The answers that a test has ordered from the tax authority.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::Deserialize;

/// What the tax authority was told to do, whatever it is asked.
#[derive(Debug, Default)]
pub(crate) struct Authority {
    /// Nothing is decided while it is.
    is_away: AtomicBool,
    orders: Mutex<Vec<Order>>,
    /// By CNPJ, what the Receita's register holds of a taxpayer. Who is not here is in order, and of the regime that the invoice says.
    register: Mutex<HashMap<String, Taxpayer>>,
    /// By CNPJ, the active state registration of a company. Who is not here is not looked up.
    contributors: Mutex<HashMap<String, String>>,
}

/// What the register holds of a taxpayer that is not in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Taxpayer {
    Unknown,
    Irregular,
    /// Of another regime (CRT) than its invoices say.
    OtherRegime,
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

    /// `None`: in order.
    pub(crate) fn register(&self, cnpj: &str, holds: Option<Taxpayer>) {
        let mut register = self.registered();
        match holds {
            Some(holds) => register.insert(cnpj.to_owned(), holds),
            None => register.remove(cnpj),
        };
    }

    pub(crate) fn taxpayer(&self, cnpj: &str) -> Option<Taxpayer> {
        self.registered().get(cnpj).copied()
    }

    pub(crate) fn contributes(&self, cnpj: &str, registration: &str) {
        self.contributors.lock().unwrap_or_else(PoisonError::into_inner).insert(cnpj.to_owned(), registration.to_owned());
    }

    pub(crate) fn registration(&self, cnpj: &str) -> Option<String> {
        self.contributors.lock().unwrap_or_else(PoisonError::into_inner).get(cnpj).cloned()
    }

    fn registered(&self) -> MutexGuard<'_, HashMap<String, Taxpayer>> {
        self.register.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn orders(&self) -> MutexGuard<'_, Vec<Order>> {
        self.orders.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
