//! One box by one service.

use vitrine_kit::Money;
use vitrine_kit::shipping::Volume;

use crate::services::Service;

/// One simulation: a box by a service.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Line {
    pub(crate) service: &'static Service,
    pub(crate) volume: Volume,
    /// What is declared of the box's worth.
    pub(crate) declared: Option<Money>,
    /// So many boxes are just like this one.
    pub(crate) count: u32,
}
