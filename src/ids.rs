//! Typed ids: a customer's id cannot be passed where an order's is meant. All are UUID v7, made by us.

/// Declares an id type over `Uuid`: transparent in JSON, SQL and the OpenAPI document.
macro_rules! id {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
                 postgres_types::ToSql, postgres_types::FromSql, utoipa::ToSchema)]
        #[serde(transparent)]
        #[postgres(transparent)]
        pub struct $name(pub uuid::Uuid);

        impl $name {
            /// A new id, later than all before it.
            #[allow(clippy::new_without_default)]
            pub fn new() -> Self {
                Self(uuid::Uuid::now_v7())
            }

            /// When it was made, to the millisecond (RFC 9562, version 7). The beginning of 1970 for an id of another version.
            pub fn made_at(self) -> jiff::Timestamp {
                let (seconds, nanos) = self.0.get_timestamp().map_or((0, 0), |time| time.to_unix());
                jiff::Timestamp::new(seconds.cast_signed(), nanos.cast_signed()).unwrap_or_default()
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    )*};
}

id!(
    /// The id of a person: a UUID, version 7.
    UserId,
    /// The id of a session: a UUID, version 7.
    SessionId,
    /// The id of a saved address: a UUID, version 7.
    AddressId,
    /// The id of a category: a UUID, version 7.
    CategoryId,
    /// The id of a product: a UUID, version 7.
    ProductId,
    /// The id of a variant: a UUID, version 7.
    VariantId,
    /// The id of an import of products: a UUID, version 7.
    ImportId,
    /// The id of a cart: a UUID, version 7.
    CartId,
    /// The id of a coupon: a UUID, version 7.
    CouponId,
    /// The id of an order: a UUID, version 7.
    OrderId,
    /// The id of an order's line: a UUID, version 7.
    LineId,
    /// The id of a payment: a UUID, version 7.
    PaymentId,
    /// The id of a refund: a UUID, version 7.
    RefundId,
    /// The id of a dispute: a UUID, version 7.
    DisputeId,
    /// The id of a job: a UUID, version 7.
    JobId,
    /// The id of a message: a UUID, version 7.
    MessageId,
    /// The id of mails that are sent by one call: a UUID, version 7.
    MailBatchId,
    /// The id of a link for a new password: a UUID, version 7.
    ResetId,
    /// The id of a change of e-mail: a UUID, version 7.
    EmailChangeId,
    /// The id of a guest's request for their data: a UUID, version 7.
    PrivacyRequestId,
    /// The id of a consent: a UUID, version 7.
    ConsentId,
    /// The id of a provider's event: a UUID, version 7.
    EventId,
    /// The id of an invoice: a UUID, version 7.
    InvoiceId,
    /// The id of a carta de correção: a UUID, version 7.
    CorrectionId,
    /// The id of a label: a UUID, version 7.
    ShipmentId,
    /// The id of an alert: a UUID, version 7.
    AlertId,
);
