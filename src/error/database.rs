//! What an error of the database means.

/// Connection lost, server shutting down or starting, the schema just changed, or the statement ran out of time: not our fault, try
/// again.
pub(super) fn is_away(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::SqlState as S;
    error.is_closed()
        || std::error::Error::source(error).is_some_and(|source| source.is::<std::io::Error>())
        || error.code().is_some_and(|code| {
            let away =
                [&S::ADMIN_SHUTDOWN, &S::CRASH_SHUTDOWN, &S::CANNOT_CONNECT_NOW, &S::QUERY_CANCELED, &S::TOO_MANY_CONNECTIONS];
            let retry =
                [&S::T_R_SERIALIZATION_FAILURE, &S::T_R_DEADLOCK_DETECTED, &S::LOCK_NOT_AVAILABLE, &S::FEATURE_NOT_SUPPORTED];
            away.contains(&code) || retry.contains(&code) || code.code().starts_with("08") || code.code().starts_with("53")
        })
}

/// A text or a time that is none to PostgreSQL. The extractors refuse them with the field's name; this is for what they do not see, such
/// as a provider's signed event.
pub(super) fn cannot_be_kept(error: &tokio_postgres::Error) -> bool {
    use tokio_postgres::error::SqlState as S;
    let kinds =
        [&S::CHARACTER_NOT_IN_REPERTOIRE, &S::UNTRANSLATABLE_CHARACTER, &S::INVALID_DATETIME_FORMAT, &S::DATETIME_FIELD_OVERFLOW];
    error.code().is_some_and(|code| kinds.contains(&code))
}

/// The reference that a row would have to what is not there: it was deleted between the statement that looked and the one that wrote.
pub(super) fn gone(error: &tokio_postgres::Error) -> Option<&str> {
    use tokio_postgres::error::SqlState as S;
    if error.code() == Some(&S::FOREIGN_KEY_VIOLATION) { Some(broken_constraint(error).unwrap_or_default()) } else { None }
}

/// The constraint that a failed statement broke, if that is why it failed.
pub fn broken_constraint(error: &tokio_postgres::Error) -> Option<&str> {
    error.as_db_error().and_then(|e| e.constraint())
}
