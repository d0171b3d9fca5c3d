-- An order and its lines, as sold. Prices, names, the buyer and the address are copies: later changes do not reach them.
CREATE TABLE orders (
    id                    uuid PRIMARY KEY,
    number                text NOT NULL UNIQUE, -- what people read out; random, so it tells nobody how much we sell
    user_id               uuid REFERENCES users,-- NULL: a guest's
    customer_name         text NOT NULL,
    customer_email        text,
    customer_phone        text,
    locale                text NOT NULL DEFAULT 'pt-BR' CHECK (locale IN ('pt-BR', 'en')), -- of what is written about it
    sms_opt_in            boolean NOT NULL DEFAULT false, -- a guest's; a customer's stands with the account
    tax_id_sealed         bytea,
    tax_id_key            smallint,
    tax_id_hash           bytea,
    status                text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'shipped', 'delivered', 'cancelled', 'returned')),
    payment_status        text NOT NULL DEFAULT 'pending_payment'
        CHECK (payment_status IN ('pending_payment', 'paid', 'failed', 'expired', 'cancelled', 'partially_refunded', 'refunded')),
    payment_method        text CHECK (payment_method IN ('pix', 'credit_card', 'wallet')),
    currency              text NOT NULL DEFAULT 'BRL' CHECK (currency = 'BRL'),
    subtotal_cents        bigint NOT NULL CHECK (subtotal_cents >= 0),
    coupon_discount_cents bigint NOT NULL DEFAULT 0 CHECK (coupon_discount_cents >= 0),
    method_discount_cents bigint NOT NULL DEFAULT 0 CHECK (method_discount_cents >= 0),
    discount_cents        bigint NOT NULL DEFAULT 0 CHECK (discount_cents <= subtotal_cents),
    shipping_cents        bigint NOT NULL CHECK (shipping_cents >= 0),
    shipping_quoted_cents bigint NOT NULL CHECK (shipping_quoted_cents >= 0), -- the carrier's price, also where the buyer pays none
    total_cents           bigint NOT NULL CHECK (total_cents >= 0),
    coupon_id             uuid REFERENCES coupons ON DELETE SET NULL,
    coupon_code           text,
    coupon_held           boolean NOT NULL DEFAULT false, -- its use counts; given back once, on cancel or expiry
    shipping_address      jsonb NOT NULL,
    shipping_provider     text NOT NULL,
    carrier               text NOT NULL,
    service               text NOT NULL,
    service_code          text NOT NULL,
    delivery_days         integer NOT NULL CHECK (delivery_days >= 0),
    freight_estimate      boolean NOT NULL DEFAULT false,
    freight_quote         jsonb NOT NULL,       -- what was asked and answered, for the day it is disputed
    tracking_number       text,
    tracked_at            timestamptz,          -- the carrier was last asked about a parcel that was posted by hand
    notes                 text,
    cancel_reason         text,                 -- the buyer's or the shop's own words; the history only says who
    reservation           smallint NOT NULL DEFAULT 1,
    stock_held            boolean NOT NULL DEFAULT true,
    expires_at            timestamptz NOT NULL, -- an unpaid order gives its stock back after this
    paid_at               timestamptz,
    shipped_at            timestamptz,
    delivered_at          timestamptz,
    cancelled_at          timestamptz,
    created_at            timestamptz NOT NULL DEFAULT now(),
    updated_at            timestamptz NOT NULL DEFAULT now(),
    CHECK (discount_cents = coupon_discount_cents + method_discount_cents),
    CONSTRAINT orders_total CHECK (total_cents = subtotal_cents - discount_cents + shipping_cents),
    CHECK (status NOT IN ('processing', 'shipped', 'delivered', 'returned')
           OR payment_status IN ('paid', 'partially_refunded', 'refunded')),
    CHECK (status <> 'pending' OR payment_status IN ('pending_payment', 'failed')),
    CHECK ((paid_at IS NOT NULL) = (payment_status IN ('paid', 'partially_refunded', 'refunded'))),
    CHECK (status NOT IN ('shipped', 'delivered') OR tracking_number IS NOT NULL OR shipping_provider = 'pickup'),
    CHECK (NOT coupon_held OR coupon_code IS NOT NULL),
    CHECK (num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) IN (0, 3))
) WITH (fillfactor = 85);
CREATE INDEX orders_user ON orders (user_id, id DESC) WHERE user_id IS NOT NULL;
CREATE INDEX orders_open ON orders (expires_at) WHERE status = 'pending';
CREATE INDEX orders_tracking ON orders (tracking_number) WHERE tracking_number IS NOT NULL;
CREATE INDEX orders_to_follow ON orders (tracked_at) WHERE status = 'shipped';
CREATE INDEX orders_created ON orders (created_at);
CREATE INDEX orders_coupon ON orders (coupon_id) WHERE coupon_id IS NOT NULL;
CREATE INDEX orders_email ON orders (customer_email) WHERE customer_email IS NOT NULL;

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
    quantity         integer NOT NULL CHECK (quantity BETWEEN 1 AND 9999),
    unit_price_cents bigint NOT NULL CHECK (unit_price_cents >= 0),
    line_total_cents bigint NOT NULL CHECK (line_total_cents = unit_price_cents * quantity),
    discount_cents   bigint NOT NULL DEFAULT 0 CHECK (discount_cents BETWEEN 0 AND line_total_cents), -- its share of the order's
    UNIQUE (order_id, position),
    UNIQUE (order_id, variant_id)
);

-- The whole story of an order, in order: from, to, when, who, and what caused it.
CREATE TABLE order_history (
    id         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id   uuid NOT NULL REFERENCES orders,
    subject    text NOT NULL CHECK (subject IN ('order', 'payment_status', 'payment', 'refund', 'dispute', 'price', 'shipment', 'invoice', 'message', 'stock', 'coupon')),
    subject_id uuid,
    from_state text,
    to_state   text NOT NULL,
    reason     text NOT NULL DEFAULT '',
    actor      text NOT NULL,                   -- user:…, admin:…, guest, system, provider:…
    cause      text NOT NULL,                   -- request:…, job:…, webhook:…
    at         timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX order_history_order ON order_history (order_id, id);
CREATE TRIGGER order_history_grow BEFORE DELETE ON order_history FOR EACH ROW EXECUTE FUNCTION only_grows();
-- The one thing that may go is what somebody wrote, when the person is erased.
CREATE TRIGGER order_history_stays BEFORE UPDATE ON order_history FOR EACH ROW
    WHEN (NEW.reason <> '' OR (NEW.order_id, NEW.subject, NEW.subject_id, NEW.from_state, NEW.to_state, NEW.actor, NEW.cause, NEW.at)
          IS DISTINCT FROM (OLD.order_id, OLD.subject, OLD.subject_id, OLD.from_state, OLD.to_state, OLD.actor, OLD.cause, OLD.at))
    EXECUTE FUNCTION only_grows();

-- Takes stock for lines, all or none, and writes the ledger. Rows are locked in id order, so two carts never deadlock.
-- It raises rather than answers "no", so that checkout can send it together with its COMMIT: a shortage then rolls back.
-- Answers whether a variant is sold out now.
CREATE FUNCTION take_stock(variants uuid[], quantities integer[], lines uuid[], reservation smallint, actor text, cause text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    short record;
    sold_out boolean;
    taken integer;
BEGIN
    WITH wanted AS (
        SELECT v.id, w.quantity, w.line
          FROM unnest(variants, quantities, lines) AS w (id, quantity, line) JOIN public.variants v USING (id)
         ORDER BY v.id FOR NO KEY UPDATE OF v),
    sold AS (
        UPDATE public.variants v SET stock = v.stock - w.quantity
          FROM wanted w WHERE v.id = w.id AND v.stock >= w.quantity AND v.deleted_at IS NULL
        RETURNING v.id, v.stock, w.quantity, w.line),
    moved AS (
        INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
        SELECT s.id, -s.quantity, 'sale', s.line, take_stock.reservation, take_stock.cause, take_stock.actor FROM sold s)
    SELECT count(*), bool_or(s.stock = 0) INTO taken, sold_out FROM sold s;
    IF taken < cardinality(variants) THEN
        SELECT v.id, CASE WHEN v.deleted_at IS NULL THEN v.stock ELSE 0 END AS stock INTO short
          FROM unnest(variants, quantities) AS w (id, quantity) JOIN public.variants v USING (id)
         WHERE v.stock < w.quantity OR v.deleted_at IS NOT NULL ORDER BY v.id LIMIT 1;
        RAISE EXCEPTION 'out of stock' USING ERRCODE = 'VT001', DETAIL = coalesce(short.id::text || ' ' || short.stock, '');
    END IF;
    RETURN sold_out;
END $$;

-- Counts one use of a coupon for one person, within both limits and its window, or raises. The order row holds the use.
CREATE FUNCTION spend_coupon(coupon uuid, who bytea) RETURNS void LANGUAGE plpgsql AS $$
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
    INSERT INTO coupon_persons AS p (coupon_id, person, uses) VALUES (coupon, who, 1)
    ON CONFLICT (coupon_id, person) DO UPDATE SET uses = p.uses + 1 WHERE per_person IS NULL OR p.uses < per_person;
    IF NOT FOUND THEN
        RAISE EXCEPTION 'coupon used up by this person' USING ERRCODE = 'VT003';
    END IF;
END $$;
