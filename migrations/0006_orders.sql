-- An order and its lines, as sold. Prices, names, the buyer and the address are copies: later changes do not affect them.
CREATE DOMAIN order_status AS text CHECK (VALUE IN ('pending', 'processing', 'shipped', 'delivered', 'cancelled', 'returned'));
CREATE DOMAIN payment_status AS text CHECK (VALUE IN
    ('pending_payment', 'paid', 'failed', 'expired', 'cancelled', 'partially_refunded', 'refunded'));
CREATE DOMAIN state_registration AS text CHECK (VALUE = 'ISENTO' OR VALUE ~ '^[0-9]{8,14}$');
CREATE DOMAIN order_currency AS text CHECK (VALUE = 'BRL');
CREATE TABLE orders (
    id                    uuid PRIMARY KEY,
    number                text NOT NULL UNIQUE, -- the number for people; random, so that it does not show how many orders there are
    user_id               uuid REFERENCES users,-- NULL: a guest's
    customer_name         text NOT NULL,
    customer_email        text,
    customer_phone        text,
    locale                locale NOT NULL DEFAULT 'pt-BR', -- the language of messages about it
    sms_opt_in            boolean NOT NULL DEFAULT false, -- of a guest; for a customer the account has it
    privacy_version       text,                 -- of the notice that a guest accepted
    tax_id_sealed         bytea,
    tax_id_key            smallint,
    tax_id_hash           bytea,
    state_registration    state_registration,   -- of a company that contributes to ICMS; public, so it is not sealed
    status                order_status NOT NULL DEFAULT 'pending',
    payment_status        payment_status NOT NULL DEFAULT 'pending_payment',
    payment_method        payment_method,
    currency              order_currency NOT NULL DEFAULT 'BRL',
    subtotal_cents        cents NOT NULL,
    coupon_discount_cents cents NOT NULL DEFAULT 0,
    method_discount_cents cents NOT NULL DEFAULT 0,
    discount_cents        cents NOT NULL DEFAULT 0,
    shipping_cents        cents NOT NULL,
    shipping_quoted_cents cents NOT NULL, -- the carrier's price, also where the buyer pays none
    total_cents           cents NOT NULL,
    coupon_id             uuid REFERENCES coupons ON DELETE SET NULL,
    coupon_code           text,
    coupon_held           boolean NOT NULL DEFAULT false, -- its use counts; given back once, on cancel or expiry
    shipping_address      jsonb NOT NULL,
    shipping_provider     text NOT NULL,
    carrier               text NOT NULL,
    service               text NOT NULL,
    service_code          text NOT NULL,
    delivery_days         counter NOT NULL,
    freight_estimate      boolean NOT NULL DEFAULT false,
    freight_quote         jsonb NOT NULL,       -- the request and its answer, in case the price is disputed
    tracking_number       text,
    tracked_at            timestamptz,          -- the carrier was last asked about a parcel that was posted by hand
    notes                 text,
    cancel_reason         text,                 -- the buyer's or the shop's own words; the history only says who
    reservation           smallint NOT NULL DEFAULT 1,
    stock_held            boolean NOT NULL DEFAULT true,
    on_hold               boolean NOT NULL DEFAULT false, -- a refund of all its money failed: an administrator has to say that the sale goes on
    units                 counter NOT NULL DEFAULT 0, -- of all lines together
    mended                counter NOT NULL DEFAULT 0, -- how often an administrator changed the buyer or the address
    placed_from           bytea,                -- a keyed hash of the client's address, if unpaid orders are counted by it; deleted once it is paid
    expires_at            timestamptz NOT NULL, -- an unpaid order gives its stock back after this
    paid_at               timestamptz,
    shipped_at            timestamptz,
    delivered_at          timestamptz,
    cancelled_at          timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now()
) WITH (fillfactor = 85, autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02); -- docs/decisions/0032

-- The rule over columns of an order: its sums, its document, its coupon, its states. Why it is a function: docs/decisions/0021.
CREATE FUNCTION order_is_sound(o orders) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF o.total_cents <> o.subtotal_cents - o.discount_cents + o.shipping_cents
       OR o.discount_cents <> o.coupon_discount_cents + o.method_discount_cents OR o.discount_cents > o.subtotal_cents THEN
        RETURN false;
    END IF;
    IF num_nulls(o.tax_id_sealed, o.tax_id_key, o.tax_id_hash) NOT IN (0, 3) OR (o.coupon_held AND o.coupon_code IS NULL)
       OR (o.state_registration IS NOT NULL AND o.tax_id_sealed IS NULL) THEN
        RETURN false;
    END IF;
    IF (o.paid_at IS NOT NULL) <> (o.payment_status IN ('paid', 'partially_refunded', 'refunded')) THEN
        RETURN false;
    END IF;
    -- What costs nothing is paid as it is placed; once it has ended, nothing is left of it.
    IF o.total_cents = 0 AND o.payment_status <> (CASE WHEN o.status IN ('cancelled', 'returned') THEN 'refunded' ELSE 'paid' END) THEN
        RETURN false;
    END IF;
    IF o.status = 'pending' THEN
        RETURN o.payment_status IN ('pending_payment', 'failed');
    END IF;
    IF o.status IN ('shipped', 'delivered') AND o.tracking_number IS NULL AND o.shipping_provider <> 'pickup' THEN
        RETURN false;
    END IF;
    RETURN o.status = 'cancelled' OR o.paid_at IS NOT NULL;
END $$;
ALTER TABLE orders ADD CONSTRAINT orders_sound CHECK (order_is_sound(orders));
CREATE INDEX orders_user ON orders (user_id, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX orders_open ON orders (expires_at) WHERE status = 'pending';
CREATE INDEX orders_tracking ON orders (upper(tracking_number)) WHERE tracking_number IS NOT NULL;
CREATE INDEX orders_on_hold ON orders (id) WHERE on_hold AND status IN ('processing', 'shipped'); -- few: each waits for an administrator
CREATE INDEX orders_to_follow ON orders (tracked_at) WHERE status = 'shipped';
-- The orders that hold a use of a coupon, by person.
CREATE INDEX orders_coupon ON orders (coupon_id, tax_id_hash) WHERE coupon_id IS NOT NULL;
CREATE INDEX orders_coupon_email ON orders (coupon_id, customer_email) WHERE coupon_id IS NOT NULL;
-- Unpaid orders are counted by document and address (these indexes) and by e-mail with status (orders_email).
CREATE INDEX orders_unpaid_document ON orders (tax_id_hash) WHERE status = 'pending';
CREATE INDEX orders_unpaid_address ON orders (placed_from) WHERE status = 'pending' AND placed_from IS NOT NULL;
CREATE INDEX orders_email ON orders (customer_email, status) WHERE customer_email IS NOT NULL;
CREATE INDEX orders_name ON orders (plain(customer_name) text_pattern_ops); -- the administrators' search by the beginning of a name
ALTER TABLE messages ADD FOREIGN KEY (order_id) REFERENCES orders;

-- How often a customer uses a coupon now. Orders of one account, one document (`who`: by every look-up key) or one e-mail are one customer's;
-- an order that has several of them in common counts once. A NULL is nobody's. The uses of erased people are known by their document alone.
-- `placed`: the present order, which does not count.
CREATE FUNCTION coupon_uses_of(coupon uuid, who bytea[], buyer uuid, email text, placed uuid) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(
        (SELECT sum(p.uses) FROM coupon_persons p WHERE p.coupon_id = coupon AND p.person = ANY (who)),
        (SELECT count(*) FROM (
            SELECT o.id FROM orders o WHERE o.user_id = buyer AND o.coupon_id = coupon AND o.coupon_held
            UNION SELECT o.id FROM orders o WHERE o.coupon_id = coupon AND o.tax_id_hash = ANY (who) AND o.coupon_held
            UNION SELECT o.id FROM orders o WHERE o.coupon_id = coupon AND o.customer_email = email AND o.coupon_held) held
          WHERE held.id IS DISTINCT FROM placed)) $$;

CREATE TABLE order_lines (
    id               uuid PRIMARY KEY,
    order_id         uuid NOT NULL REFERENCES orders,
    position         smallint NOT NULL,
    product_id       uuid NOT NULL,
    variant_id       uuid NOT NULL,
    sku              text NOT NULL,
    name             text NOT NULL,
    variant_name     text NOT NULL,
    image_url        text,
    quantity         quantity NOT NULL,
    unit_price_cents cents NOT NULL,
    line_total_cents cents NOT NULL,
    discount_cents   cents NOT NULL DEFAULT 0, -- its share of the order's
    UNIQUE (order_id, variant_id),
    CONSTRAINT order_lines_total CHECK (line_total_cents = unit_price_cents * quantity AND discount_cents <= line_total_cents)
);

-- Pieces that are lost or spoilt. Pieces that are back in stock are in stock_movements.
CREATE TABLE write_offs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_line_id uuid NOT NULL REFERENCES order_lines,
    quantity      quantity NOT NULL,
    cause         text NOT NULL,                -- request, job or webhook id
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX write_offs_line ON write_offs (order_line_id);
CREATE TRIGGER write_offs_grow BEFORE UPDATE OR DELETE ON write_offs FOR EACH ROW EXECUTE FUNCTION only_grows();

-- Raises an error if there are too many unpaid orders. It counts under a lock per document, e-mail and address, taken in this order and
-- held until the transaction ends: orders that come at the same time are all counted. A NULL has no limit, no lock and no count. The
-- present order is written already, so it is counted too. The limits are by document, e-mail, address. `force_generic_plan`: otherwise
-- PostgreSQL plans each call anew for its number of documents.
CREATE FUNCTION check_unpaid(
    person bytea, documents bytea[], email text, address bytea, most_orders integer[], most_units integer[])
RETURNS void LANGUAGE plpgsql SET plan_cache_mode = force_generic_plan AS $$
DECLARE
    held record;
    what text;
BEGIN
    -- The locks need a statement of their own: a statement sees what was committed when it began, so the next one sees all that was
    -- committed before the locks were taken.
    PERFORM pg_advisory_xact_lock(hashtextextended('unpaid document ' || encode(person, 'hex'), 0)),
            pg_advisory_xact_lock(hashtextextended('unpaid email ' || email, 0)),
            pg_advisory_xact_lock(hashtextextended('unpaid address ' || encode(address, 'hex'), 0));
    SELECT d.orders AS d_orders, d.units AS d_units, e.orders AS e_orders, e.units AS e_units, a.orders AS a_orders, a.units AS a_units INTO held
      FROM (SELECT count(*) AS orders, sum(o.units) AS units FROM orders o
             WHERE o.status = 'pending' AND o.tax_id_hash = ANY (documents)) d,
           (SELECT count(*) AS orders, sum(o.units) AS units FROM orders o WHERE o.status = 'pending' AND o.customer_email = email) e,
           (SELECT count(*) AS orders, sum(o.units) AS units FROM orders o WHERE o.status = 'pending' AND o.placed_from = address) a;
    what := CASE WHEN held.d_orders > most_orders[1] THEN 'document' WHEN held.e_orders > most_orders[2] THEN 'email'
                 WHEN held.a_orders > most_orders[3] THEN 'address' END;
    IF what IS NOT NULL THEN
        RAISE EXCEPTION 'too many unpaid orders' USING ERRCODE = 'VT005', DETAIL = what;
    END IF;
    what := CASE WHEN held.d_units > most_units[1] THEN 'document' WHEN held.e_units > most_units[2] THEN 'email'
                 WHEN held.a_units > most_units[3] THEN 'address' END;
    IF what IS NOT NULL THEN
        RAISE EXCEPTION 'too many units held unpaid' USING ERRCODE = 'VT006', DETAIL = what;
    END IF;
END $$;

-- The history of an order: from, to, when, by whom, and why. No foreign key: orders are never deleted (their
-- lines hold them), and `vitrine audit` finds a history without its order.
CREATE DOMAIN history_subject AS text CHECK (VALUE IN
    ('order', 'sale', 'payment_status', 'payment', 'refund', 'dispute', 'price', 'shipment', 'invoice', 'message', 'stock', 'coupon', 'buyer'));
CREATE TABLE order_history (
    id         bigint GENERATED ALWAYS AS IDENTITY,
    order_id   uuid NOT NULL,
    subject    history_subject NOT NULL,
    subject_id uuid,
    from_state text,
    to_state   text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    actor      text NOT NULL,                   -- user:…, admin:…, guest, system, provider:…
    cause      text NOT NULL,                   -- request:…, job:…, webhook:…
    at         timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (order_id, id)
);
CREATE TRIGGER order_history_grow BEFORE DELETE ON order_history FOR EACH ROW EXECUTE FUNCTION only_grows();
-- Only the reason may be removed, when a person is erased.
CREATE TRIGGER order_history_stays BEFORE UPDATE ON order_history FOR EACH ROW
    WHEN (NEW.reason <> '' OR (NEW.order_id, NEW.subject, NEW.subject_id, NEW.from_state, NEW.to_state, NEW.actor, NEW.cause, NEW.at)
          IS DISTINCT FROM (OLD.order_id, OLD.subject, OLD.subject_id, OLD.from_state, OLD.to_state, OLD.actor, OLD.cause, OLD.at))
    EXECUTE FUNCTION only_grows();
