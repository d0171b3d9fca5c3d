//! What an event of a provider did: the word that the inbox keeps, and that an administrator sees.

use std::fmt;

use bytes::BytesMut;
use postgres_types::{FromSql, IsNull, ToSql, Type, to_sql_checked};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::states::{UnknownWord, states};

states! {
    /// What an event did. `received`: nothing yet. `applied`. `already done`: it was known. `nothing new`: the parcel's state was known.
    /// `surplus`: money for an order that cannot take it, which goes back. `mismatch`: it is not what the shop asked for, and nothing
    /// moved. `unknown`: it is about nothing of the shop's. `hint`: nothing was believed, and the provider is asked. `ignored`: it came
    /// too late to matter, or says nothing. `stray`: another label of a parcel that has one. `wrong mode`: a test in a live shop, or the
    /// other way round.
    EventOutcome {
        /// It is written down, and nothing was done yet.
        Received = "received",
        Applied = "applied",
        /// It was known.
        #[serde(rename = "already done")]
        AlreadyDone = "already done",
        /// The state of the parcel was known.
        #[serde(rename = "nothing new")]
        NothingNew = "nothing new",
        /// Money for an order that cannot take it: recorded, and refunded.
        Surplus = "surplus",
        /// It is not what we asked for: nothing moved, the operator is told.
        Mismatch = "mismatch",
        /// It is about nothing that we know.
        Unknown = "unknown",
        /// Nothing was believed: the provider is asked.
        Hint = "hint",
        /// Too late to matter, or it says nothing.
        Ignored = "ignored",
        /// A second label under the tag of one parcel.
        Stray = "stray",
        /// A test's event in a shop that is live, or the other way round.
        #[serde(rename = "wrong mode")]
        WrongMode = "wrong mode",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_the_same_word_in_the_table_and_in_an_answer() {
        for outcome in EventOutcome::ALL {
            assert_eq!(serde_json::to_value(outcome).expect("JSON"), outcome.as_str());
            assert_eq!(EventOutcome::parse(outcome.as_str()).expect("a word"), *outcome);
        }
    }
}
