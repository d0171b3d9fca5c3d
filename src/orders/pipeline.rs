//! A transaction whose BEGIN and COMMIT are sent together with other statements, to save round trips.

use deadpool_postgres::Object;

use crate::error::{Error, Result};

/// A connection inside a transaction whose BEGIN and COMMIT are sent with other statements. If it is dropped before the end (the
/// client hung up), the connection is closed, which rolls back. It never returns to the pool inside a transaction.
pub(super) struct Pipeline {
    connection: Option<Object>,
}

impl Pipeline {
    pub(super) fn open(connection: Object) -> Self {
        Self { connection: Some(connection) }
    }

    pub(super) fn client(&self) -> Result<&Object> {
        self.connection.as_ref().ok_or_else(|| Error::Internal("the checkout's connection is gone".into()))
    }

    /// Committed: the connection may go back to the pool.
    pub(super) fn is_over(&mut self) {
        drop(self.connection.take());
    }

    pub(super) async fn roll_back(&mut self) {
        if let Some(connection) = self.connection.take()
            && connection.batch_execute("ROLLBACK").await.is_err()
        {
            drop(Object::take(connection));
        }
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(Object::take(connection));
        }
    }
}
