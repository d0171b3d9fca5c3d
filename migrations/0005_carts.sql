-- Coupons: a percentage, an amount or the freight. A limit of uses is never exceeded: the code checks it, and so does the table.
CREATE DOMAIN coupon_code AS text CHECK (VALUE = upper(VALUE) AND length(VALUE) BETWEEN 1 AND 40);
CREATE DOMAIN coupon_kind AS text CHECK (VALUE IN ('percent', 'fixed', 'free_shipping'));
CREATE DOMAIN use_limit AS integer CHECK (VALUE > 0);
CREATE TABLE coupons (
    id                    uuid PRIMARY KEY,
    code                  coupon_code NOT NULL UNIQUE,
    kind                  coupon_kind NOT NULL,
    value                 bigint NOT NULL,      -- per cent, or centavos
    min_subtotal_cents    cents,
    max_discount_cents    positive_cents,
    starts_at             timestamptz,
    ends_at               timestamptz,
    max_uses              use_limit,
    max_uses_per_customer use_limit,
    uses                  counter NOT NULL DEFAULT 0,
    active                boolean NOT NULL DEFAULT true,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT coupons_value CHECK (CASE kind WHEN 'percent' THEN value BETWEEN 1 AND 100 WHEN 'fixed' THEN value > 0 ELSE value = 0 END),
    CONSTRAINT coupons_window CHECK (starts_at < ends_at)
);
CREATE INDEX coupons_beginning ON coupons (code text_pattern_ops); -- the administrators' search; the order of no locale

-- How often a person used a coupon. A person is the HMAC of a CPF or CNPJ: the same for all accounts of a person.
CREATE TABLE coupon_persons (
    coupon_id uuid NOT NULL REFERENCES coupons ON DELETE CASCADE,
    person    bytea NOT NULL,                   -- while look-up keys are being changed, a person may have a row per key: the uses are added up
    key       smallint NOT NULL,                -- which look-up key made `person`
    uses      counter NOT NULL,
    PRIMARY KEY (coupon_id, person)
);

-- Counts one use of a coupon for one person, within both limits and its window, or raises. The order row holds the use. `who`: the person
-- by every look-up key, the one that is written first, of `who_key`. The coupon's row is locked first, so that two orders of one person are
-- counted one after the other, whichever keys made their hashes. `buyer` is the account, `email` the order's, and `placed` the present order.
CREATE FUNCTION spend_coupon(coupon uuid, who bytea[], who_key smallint, buyer uuid, email text, placed uuid) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    per_person integer;
BEGIN
    UPDATE coupons c SET uses = c.uses + 1
     WHERE c.id = coupon AND c.active AND (c.max_uses IS NULL OR c.uses < c.max_uses)
       AND (c.starts_at IS NULL OR c.starts_at <= now()) AND (c.ends_at IS NULL OR c.ends_at > now())
    RETURNING c.max_uses_per_customer INTO per_person;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'coupon used up' USING ERRCODE = 'VT002';
    END IF;
    -- A server without all keys would not see rows that were written with the others.
    IF cardinality(who) < (SELECT count(*) FROM secret_keys k WHERE k.purpose = 'look_up') THEN
        RAISE EXCEPTION 'a look-up key is not known to this server' USING ERRCODE = 'VT004';
    END IF;
    IF per_person IS NOT NULL AND coupon_uses_of(coupon, who, buyer, email, placed) >= per_person THEN
        RAISE EXCEPTION 'coupon used up by this person' USING ERRCODE = 'VT003';
    END IF;
    INSERT INTO coupon_persons AS p (coupon_id, person, key, uses) VALUES (coupon, who[1], who_key, 1)
    ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1;
END $$;

-- One cart per customer on every device, or one per guest token (of which only the hash is kept).
CREATE TABLE carts (
    id         uuid PRIMARY KEY,
    owner      bytea NOT NULL UNIQUE,           -- the owner: the bytes of user_id, or the SHA-256 of a guest's token
    user_id    uuid REFERENCES users,
    coupon_id  uuid REFERENCES coupons ON DELETE SET NULL,
    shown_discount_cents cents NOT NULL DEFAULT 0, -- what the coupon took off when the cart was last shown: checkout takes no more for the goods
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    touched_on date GENERATED ALWAYS AS ((updated_at AT TIME ZONE 'UTC')::date) STORED, -- its day: nearly all changes of a day leave it as it is
    CONSTRAINT carts_owner CHECK (CASE WHEN user_id IS NULL THEN length(owner) = 32 ELSE owner = uuid_send(user_id) END)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05); -- docs/decisions/0032
CREATE INDEX carts_user ON carts (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX carts_stale ON carts (touched_on) WHERE user_id IS NULL;
CREATE INDEX carts_coupon ON carts (coupon_id) WHERE coupon_id IS NOT NULL;

CREATE TABLE cart_items (
    cart_id          uuid NOT NULL REFERENCES carts ON DELETE CASCADE,
    variant_id       uuid NOT NULL,              -- no foreign key: see variants
    quantity         quantity NOT NULL,
    seen_price_cents bigint NOT NULL,           -- the price that the buyer saw when adding it, to warn of a change
    shown_price_cents bigint NOT NULL,          -- the price that the buyer was last shown: checkout takes no more
    added_at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (cart_id, variant_id)
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02);
