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
    UserId,
    SessionId,
    AddressId,
    CategoryId,
    ProductId,
    VariantId,
    ImportId,
    CartId,
    CouponId,
    OrderId,
    LineId,
    PaymentId,
    RefundId,
    DisputeId,
    JobId,
    MessageId,
    ResetId,
    EmailChangeId,
    PrivacyRequestId,
    ConsentId,
    EventId,
    InvoiceId,
    CorrectionId,
    ShipmentId,
    AlertId,
);
