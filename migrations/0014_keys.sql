-- Keys that the shop makes for itself, each sealed with one of DATA_KEYS: a dump of the database opens nothing, and no change of
-- JWT_SECRET or DATA_KEYS changes what they make.
CREATE TABLE secret_keys (
    position  integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, -- a look-up hash is made by all keys up to its own, in this order
    purpose   text NOT NULL CHECK (purpose IN ('look_up', 'tokens')),
    id        smallint NOT NULL,                -- of a look-up key: the id in DATA_KEYS whose rows it is for
    sealed    bytea NOT NULL,
    data_key  smallint NOT NULL,                -- which of DATA_KEYS seals it
    made_at   timestamptz NOT NULL DEFAULT now(),
    turned_at timestamptz,                      -- of a look-up key: no row is left with a hash by the ones before it
    UNIQUE (purpose, id)
);

-- Which look-up key made `person`. A person may have a row by each while the keys are being changed: their uses add up.
ALTER TABLE coupon_persons ADD COLUMN key smallint NOT NULL;

-- Counts one use of a coupon for one person, within both limits and its window, or raises. The order row holds the use.
-- `who`: the person by every look-up key, the one that is written first, of `who_key`. The coupon's row is locked first, so
-- that two orders of one person are counted one after the other, whichever keys made their hashes. An account is one person
-- too, whatever documents it types: `buyer` has it, and `placed` is the order at hand.
DROP FUNCTION spend_coupon(uuid, bytea);
CREATE FUNCTION spend_coupon(coupon uuid, who bytea[], who_key smallint, buyer uuid, placed uuid) RETURNS void LANGUAGE plpgsql AS $$
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
    -- A server that knows fewer keys than there are would not see what the others wrote.
    IF cardinality(who) < (SELECT count(*) FROM secret_keys k WHERE k.purpose = 'look_up') THEN
        RAISE EXCEPTION 'a look-up key is not known to this server' USING ERRCODE = 'VT004';
    END IF;
    IF (SELECT sum(p.uses) FROM coupon_persons p WHERE p.coupon_id = coupon AND p.person = ANY (who)) >= per_person
       OR (per_person IS NOT NULL AND buyer IS NOT NULL
           AND (SELECT count(*) FROM orders o
                 WHERE o.user_id = buyer AND o.coupon_id = coupon AND o.coupon_held AND o.id <> placed) >= per_person) THEN
        RAISE EXCEPTION 'coupon used up by this person' USING ERRCODE = 'VT003';
    END IF;
    INSERT INTO coupon_persons AS p (coupon_id, person, key, uses) VALUES (coupon, who[1], who_key, 1)
    ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1;
END $$;

-- Who holds a use of a coupon: its orders by person.
DROP INDEX orders_coupon;
CREATE INDEX orders_coupon ON orders (coupon_id, tax_id_hash) WHERE coupon_id IS NOT NULL;

-- Events whose body is still kept, the oldest first: the others are passed over when bodies are removed.
CREATE INDEX webhook_events_bodies ON webhook_events (received_at) WHERE body <> '';
