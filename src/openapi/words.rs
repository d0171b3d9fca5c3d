//! What the document says of the shop as a whole.

use serde_json::{Value, json};

const INTRODUCTION: &str = "Backend-for-frontend of a Brazilian online shop.

- Money is an integer of centavos in fields that end in `_cents`; times are RFC 3339 in UTC; ids are UUIDs.
- A list answers `items`, `total`, `limit`, `offset` and `next_cursor`: send that as `cursor` for the next page. It is null on the last.
- An error is `application/problem+json` (RFC 9457). Its `type` ends in a stable slug and is the address of a page about it; `/errors`
  lists them all. Programs switch on the slug.
- `Idempotency-Key` makes a request safe to repeat: the same key and body answer the first answer again for 24 hours.
- Paths start with `/api`; `/api/v1` answers the same.";

/// Each tag of the document, and what stands under it.
const TAGS: [(&str, &str); 12] = [
    ("catalog", "Products and categories. Answers carry an `ETag`; administrators change them here too."),
    ("cart", "The cart of a person who is signed in, or of a guest who holds its token."),
    ("shipping", "Freight before checkout: options with signed prices."),
    ("orders", "Orders from checkout to delivery, their invoices, and what comes back."),
    ("payments", "PIX and cards: attempts, refunds, disputes."),
    ("auth", "Registration, sign-in and sessions."),
    ("users", "The account of the person who is signed in."),
    ("addresses", "Saved addresses, and the address of a CEP."),
    ("privacy", "What the LGPD gives a person: export and erasure, with an account or without."),
    ("admin", "For administrators: what the shop sells by, and the machinery that runs it."),
    ("webhooks", "For providers alone. What they send is checked before it is read."),
    ("operations", "For whoever runs the server."),
];

pub(super) fn introduce(document: &mut Value) {
    document["info"]["description"] = json!(INTRODUCTION);
    document["info"]["contact"] = json!({"name": "The maintainers of Vitrine"});
    document["servers"] = json!([{"url": "/", "description": "The server that this document came from"}]);
    document["tags"] = TAGS.iter().map(|(name, description)| json!({"name": name, "description": description})).collect();
}
