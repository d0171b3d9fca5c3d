//! Moments as the providers write them.

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone};

/// RFC 3339 in whole seconds, as the providers write it.
pub(crate) fn wire_time(at: Timestamp) -> String {
    format!("{at:.0}")
}

/// The same, in milliseconds.
pub(crate) fn wire_time_ms(at: Timestamp) -> String {
    format!("{at:.3}")
}

/// In Brasília's hours.
pub(crate) fn local(at: Timestamp) -> jiff::Zoned {
    at.to_zoned(TimeZone::fixed(Offset::constant(-3)))
}
