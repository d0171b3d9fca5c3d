//! The days of the shop and of the tax authority: those of Brasília.

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::{self, TimeZone};

/// America/Sao_Paulo; on a machine without time zones, its offset since 2019.
pub fn zone() -> TimeZone {
    TimeZone::get("America/Sao_Paulo").unwrap_or_else(|_| TimeZone::fixed(tz::offset(-3)))
}

/// The date there at that moment.
pub fn day_of(at: Timestamp) -> Date {
    at.to_zoned(zone()).date()
}
