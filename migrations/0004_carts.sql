-- Coupons: a share, an amount or the freight, never spent past a limit. The code says so; the table says it again.
CREATE TABLE coupons (
    id                    uuid PRIMARY KEY,
    code                  text NOT NULL UNIQUE CHECK (code = upper(code) AND length(code) BETWEEN 1 AND 40),
    kind                  text NOT NULL CHECK (kind IN ('percent', 'fixed', 'free_shipping')),
    value                 bigint NOT NULL,      -- per cent, or centavos
    min_subtotal_cents    bigint CHECK (min_subtotal_cents >= 0),
    max_discount_cents    bigint CHECK (max_discount_cents > 0),
    starts_at             timestamptz,
    ends_at               timestamptz,
    max_uses              integer CHECK (max_uses > 0),
    max_uses_per_customer integer CHECK (max_uses_per_customer > 0),
    uses                  integer NOT NULL DEFAULT 0 CHECK (uses >= 0),
    active                boolean NOT NULL DEFAULT true,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (CASE kind WHEN 'percent' THEN value BETWEEN 1 AND 100 WHEN 'fixed' THEN value > 0 ELSE value = 0 END),
    CHECK (starts_at < ends_at)
);

-- How often a person used a coupon. A person is the HMAC of a CPF or CNPJ: one human, however many accounts.
CREATE TABLE coupon_persons (
    coupon_id uuid NOT NULL REFERENCES coupons ON DELETE CASCADE,
    person    bytea NOT NULL,
    uses      integer NOT NULL CHECK (uses >= 0),
    PRIMARY KEY (coupon_id, person)
);

-- One cart per customer on every device, or one per guest token (of which only the hash is kept).
CREATE TABLE carts (
    id         uuid PRIMARY KEY,
    user_id    uuid UNIQUE REFERENCES users,
    token_hash bytea UNIQUE,
    coupon_id  uuid REFERENCES coupons ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (num_nonnulls(user_id, token_hash) = 1)
);
CREATE INDEX carts_stale ON carts (updated_at) WHERE token_hash IS NOT NULL;
CREATE INDEX carts_coupon ON carts (coupon_id) WHERE coupon_id IS NOT NULL;

CREATE TABLE cart_items (
    cart_id          uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id       uuid NOT NULL,              -- no foreign key: see variants
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
    seen_price_cents bigint NOT NULL,           -- what the buyer saw when it went in, for the warning when it changes
    added_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
);
