-- What is for sale. A product always has exactly one default variant; stock and price live on variants.
CREATE TABLE categories (
    id          uuid PRIMARY KEY,
    parent_id   uuid REFERENCES categories,
    slug        slug NOT NULL UNIQUE,
    name        short_name NOT NULL,
    description text NOT NULL DEFAULT '',
    position    integer NOT NULL DEFAULT 0,
    -- tax data that products without their own inherit
    ncm         ncm,
    cfop        cfop,
    origin      tax_origin,
    tax         jsonb NOT NULL DEFAULT '{}',    -- CST/CSOSN, cClassTrib and the like
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT categories_not_its_own CHECK (parent_id <> id)
);
CREATE INDEX categories_parent ON categories (parent_id, position);

-- A category cannot be below itself.
CREATE FUNCTION category_is_no_cycle() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        WITH RECURSIVE up AS (
            SELECT id, parent_id FROM categories WHERE id = NEW.parent_id
            UNION SELECT c.id, c.parent_id FROM categories c JOIN up ON c.id = up.parent_id)
        SELECT FROM up WHERE id = NEW.id)
    THEN
        RAISE EXCEPTION 'category % would be its own ancestor', NEW.id
            USING ERRCODE = 'check_violation', CONSTRAINT = 'categories_no_cycle';
    END IF;
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER categories_no_cycle AFTER INSERT OR UPDATE OF parent_id ON categories
    FOR EACH ROW WHEN (NEW.parent_id IS NOT NULL) EXECUTE FUNCTION category_is_no_cycle();

CREATE DOMAIN product_name AS text CHECK (length(VALUE) BETWEEN 1 AND 200);
CREATE DOMAIN price AS bigint CHECK (VALUE BETWEEN 0 AND 100000000000);
CREATE DOMAIN product_grams AS integer CHECK (VALUE BETWEEN 1 AND 1000000);
CREATE DOMAIN product_cm AS integer CHECK (VALUE BETWEEN 1 AND 1000);
CREATE TABLE products (
    id           uuid PRIMARY KEY,
    slug         slug NOT NULL UNIQUE,
    name         product_name NOT NULL,
    description  text NOT NULL DEFAULT '',
    category_id  uuid REFERENCES categories,  -- NULL only if a deleted product's category was deleted too
    -- the default variant's, kept by a trigger, so that lists sort and filter without a join
    price_cents  price NOT NULL DEFAULT 0,
    featured     boolean NOT NULL DEFAULT false,
    active       boolean NOT NULL DEFAULT true,
    weight_grams product_grams NOT NULL,
    height_cm    product_cm NOT NULL,
    width_cm     product_cm NOT NULL,
    length_cm    product_cm NOT NULL,
    ncm          ncm,
    cfop         cfop,
    origin       tax_origin,
    tax          jsonb NOT NULL DEFAULT '{}',   -- CST/CSOSN, cClassTrib and the like, for the invoice
    attributes   json_object NOT NULL DEFAULT '{}',
    keywords     text NOT NULL DEFAULT '',      -- SKUs, variant names and attributes, for the search
    deleted_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT products_category_or_deleted CHECK (category_id IS NOT NULL OR deleted_at IS NOT NULL),
    search       tsvector NOT NULL GENERATED ALWAYS AS (
        setweight(to_tsvector('vitrine_pt'::regconfig, name), 'A') ||
        setweight(to_tsvector('vitrine_pt'::regconfig, keywords), 'B') ||
        setweight(to_tsvector('vitrine_pt'::regconfig, description), 'C')) STORED
);
-- One index per order of the list; `id` makes every order total, so that a cursor never skips or repeats.
CREATE INDEX products_newest ON products (created_at DESC, id DESC) WHERE active AND deleted_at IS NULL;
CREATE INDEX products_price ON products (price_cents, id) WHERE active AND deleted_at IS NULL;
CREATE INDEX products_name ON products (plain(name), id) WHERE active AND deleted_at IS NULL;
CREATE INDEX products_category ON products (category_id, created_at DESC, id DESC) WHERE deleted_at IS NULL;
CREATE INDEX products_featured ON products (created_at DESC, id DESC) WHERE featured AND active AND deleted_at IS NULL;
CREATE INDEX products_search ON products USING gin (search);
CREATE INDEX products_similar ON products USING gin (plain(name) gin_trgm_ops);

CREATE TABLE product_images (
    product_id uuid NOT NULL REFERENCES products ON DELETE CASCADE,
    position   smallint NOT NULL,
    url        text NOT NULL,
    alt        text NOT NULL DEFAULT '',
    PRIMARY KEY (product_id, position)
);

-- No index may contain `stock`: each sale would then rewrite it, and updates in place (HOT) would be lost.
-- Rows are never deleted, so that lines and movements can name them without a foreign key, whose lock
-- on the row would make orders of a variant in high demand wait for each other.
CREATE DOMAIN sku AS text CHECK (length(VALUE) BETWEEN 1 AND 64);
CREATE TABLE variants (
    id               uuid PRIMARY KEY,
    product_id       uuid NOT NULL REFERENCES products,
    sku              sku NOT NULL UNIQUE,
    name             text NOT NULL,
    options          json_object NOT NULL DEFAULT '{}',
    price_cents      price NOT NULL,
    compare_at_cents price,
    stock            counter NOT NULL DEFAULT 0,
    is_default       boolean NOT NULL DEFAULT false,
    position         integer NOT NULL DEFAULT 0,
    deleted_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT variants_default_is_sold CHECK (NOT (is_default AND deleted_at IS NOT NULL))
) WITH (fillfactor = 70);
CREATE INDEX variants_product ON variants (product_id, position);
CREATE UNIQUE INDEX variants_one_default ON variants (product_id) WHERE is_default;
CREATE TRIGGER variants_stay BEFORE DELETE ON variants FOR EACH ROW EXECUTE FUNCTION only_grows();

CREATE FUNCTION copy_default_price() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE products SET price_cents = NEW.price_cents WHERE id = NEW.product_id AND price_cents <> NEW.price_cents;
    RETURN NULL;
END $$;
CREATE TRIGGER variants_default_price AFTER INSERT OR UPDATE OF price_cents, is_default ON variants
    FOR EACH ROW WHEN (NEW.is_default) EXECUTE FUNCTION copy_default_price();

-- The rule over columns of a movement. Why it is a function: docs/decisions/0021.
CREATE DOMAIN stock_reason AS text CHECK (VALUE IN ('opening', 'sale', 'release', 'return', 'adjustment', 'import'));
CREATE DOMAIN stock_delta AS integer CHECK (VALUE <> 0);
CREATE FUNCTION movement_is_sound(reason text, delta integer, order_line_id uuid, reservation smallint)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    IF reason IN ('sale', 'release', 'return') THEN
        RETURN (delta < 0) = (reason = 'sale') AND order_line_id IS NOT NULL AND reservation IS NOT NULL;
    END IF;
    RETURN order_line_id IS NULL AND reservation IS NULL;
END $$;

-- Every change of a stock is a row here; their sum is the stock (`vitrine audit` adds them up).
-- A line takes stock once and gives it back once per reservation. A late payment of an ended order starts a new reservation.
CREATE TABLE stock_movements (
    id            bigint GENERATED ALWAYS AS IDENTITY,
    variant_id    uuid NOT NULL,
    delta         stock_delta NOT NULL,
    reason        stock_reason NOT NULL,
    order_line_id uuid,
    reservation   smallint,
    cause         text NOT NULL,                -- request, job or webhook id
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (variant_id, id),
    CONSTRAINT stock_movements_reasons CHECK (movement_is_sound(reason, delta, order_line_id, reservation))
);
CREATE UNIQUE INDEX stock_movements_once ON stock_movements (order_line_id, reason, reservation) WHERE reason IN ('sale', 'release');
-- What came back of a line.
CREATE INDEX stock_movements_returned ON stock_movements (order_line_id) WHERE reason = 'return';
CREATE TRIGGER stock_movements_grow BEFORE UPDATE OR DELETE ON stock_movements FOR EACH ROW EXECUTE FUNCTION only_grows();

-- Variants that are nearly sold out and were reported. The row is deleted once there is more stock.
CREATE TABLE stock_alerts (
    variant_id uuid PRIMARY KEY,
    told_at    timestamptz NOT NULL DEFAULT now()
);

-- Takes stock for lines, all or none, and writes the ledger. The variants come in ascending order and are locked in it, so two
-- carts never deadlock; they come after the ledger's rows, so that one in high demand is locked for as short as possible.
-- A shortage raises an error, so that checkout can send this together with its COMMIT, which then rolls back.
-- Returns whether a variant is sold out now.
CREATE FUNCTION take_stock(ids uuid[], quantities integer[], lines uuid[], reservation smallint, actor text, cause text)
RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    remaining integer;
    sold_out boolean := false;
BEGIN
    INSERT INTO stock_movements (variant_id, delta, reason, order_line_id, reservation, cause, actor)
    SELECT w.id, -quantities[w.n], 'sale', lines[w.n], take_stock.reservation, take_stock.cause, take_stock.actor
      FROM unnest(ids) WITH ORDINALITY AS w (id, n);
    FOR n IN 1 .. cardinality(ids) LOOP
        IF ids[n] <= ids[n - 1] THEN
            RAISE EXCEPTION 'variants are taken in ascending order, each once';
        END IF;
        UPDATE variants v SET stock = v.stock - quantities[n]
         WHERE v.id = ids[n] AND v.stock >= quantities[n] AND v.deleted_at IS NULL RETURNING v.stock INTO remaining;
        IF remaining IS NULL THEN
            SELECT CASE WHEN v.deleted_at IS NULL THEN v.stock ELSE 0 END INTO remaining FROM variants v WHERE v.id = ids[n];
            RAISE EXCEPTION 'out of stock' USING ERRCODE = 'VT001', DETAIL = coalesce(ids[n]::text || ' ' || remaining, '');
        END IF;
        sold_out := sold_out OR remaining = 0;
    END LOOP;
    RETURN sold_out;
END $$;
