-- What is for sale. A product always has exactly one default variant; stock and price live on variants.
CREATE TABLE categories (
    id          uuid PRIMARY KEY,
    parent_id   uuid REFERENCES categories,
    slug        text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name        text NOT NULL CHECK (length(name) BETWEEN 1 AND 120),
    description text NOT NULL DEFAULT '',
    position    integer NOT NULL DEFAULT 0,
    -- tax data that products without their own inherit
    ncm         text CHECK (ncm ~ '^[0-9]{8}$'),
    cfop        text CHECK (cfop ~ '^[0-9]{4}$'),
    origin      smallint CHECK (origin BETWEEN 0 AND 8),
    tax         jsonb NOT NULL DEFAULT '{}',    -- CST/CSOSN, cClassTrib and the like
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    CHECK (parent_id <> id)
);
CREATE INDEX categories_parent ON categories (parent_id, position);

-- A branch cannot hang on its own leaf.
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

CREATE TABLE products (
    id           uuid PRIMARY KEY,
    slug         text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$'),
    name         text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description  text NOT NULL DEFAULT '',
    category_id  uuid REFERENCES categories,  -- NULL only where a deleted product outlived its category
    -- the default variant's, kept by a trigger, so that lists sort and filter without a join
    price_cents  bigint NOT NULL DEFAULT 0 CHECK (price_cents >= 0),
    featured     boolean NOT NULL DEFAULT false,
    active       boolean NOT NULL DEFAULT true,
    weight_grams integer NOT NULL CHECK (weight_grams BETWEEN 1 AND 1000000),
    height_cm    integer NOT NULL CHECK (height_cm BETWEEN 1 AND 1000),
    width_cm     integer NOT NULL CHECK (width_cm BETWEEN 1 AND 1000),
    length_cm    integer NOT NULL CHECK (length_cm BETWEEN 1 AND 1000),
    ncm          text CHECK (ncm ~ '^[0-9]{8}$'),
    cfop         text CHECK (cfop ~ '^[0-9]{4}$'),
    origin       smallint CHECK (origin BETWEEN 0 AND 8),
    tax          jsonb NOT NULL DEFAULT '{}',   -- CST/CSOSN, cClassTrib and the like, for the invoice
    attributes   jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(attributes) = 'object'),
    keywords     text NOT NULL DEFAULT '',      -- SKUs, variant names and attributes, for the search
    deleted_at   timestamptz,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CHECK (category_id IS NOT NULL OR deleted_at IS NOT NULL),
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
-- on the row would turn every hot variant into a queue of multixacts.
CREATE TABLE variants (
    id               uuid PRIMARY KEY,
    product_id       uuid NOT NULL REFERENCES products,
    sku              text NOT NULL UNIQUE CHECK (length(sku) BETWEEN 1 AND 64),
    name             text NOT NULL,
    options          jsonb NOT NULL DEFAULT '{}' CHECK (jsonb_typeof(options) = 'object'),
    price_cents      bigint NOT NULL CHECK (price_cents BETWEEN 0 AND 100000000000),
    compare_at_cents bigint CHECK (compare_at_cents BETWEEN 0 AND 100000000000),
    stock            integer NOT NULL DEFAULT 0 CHECK (stock >= 0),
    is_default       boolean NOT NULL DEFAULT false,
    position         integer NOT NULL DEFAULT 0,
    deleted_at       timestamptz,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CHECK (NOT (is_default AND deleted_at IS NOT NULL))
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

-- Every change of a stock is a row here; their sum is the stock (`vitrine audit` adds them up).
-- A line takes once and gives back once per reservation: a late payment that revives an order starts a new one.
CREATE TABLE stock_movements (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    variant_id    uuid NOT NULL,
    delta         integer NOT NULL CHECK (delta <> 0),
    reason        text NOT NULL CHECK (reason IN ('opening', 'sale', 'release', 'return', 'adjustment', 'import')),
    order_line_id uuid,
    reservation   smallint,
    cause         text NOT NULL,                -- request, job or webhook id
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now(),
    CHECK ((reason IN ('sale', 'release', 'return')) = (order_line_id IS NOT NULL)),
    CHECK ((order_line_id IS NULL) = (reservation IS NULL)),
    CHECK (reason <> 'sale' OR delta < 0),
    CHECK (reason NOT IN ('release', 'return') OR delta > 0)
);
CREATE UNIQUE INDEX stock_movements_once ON stock_movements (order_line_id, reason, reservation) WHERE reason IN ('sale', 'release');
CREATE INDEX stock_movements_variant ON stock_movements (variant_id, id);
CREATE TRIGGER stock_movements_grow BEFORE UPDATE OR DELETE ON stock_movements FOR EACH ROW EXECUTE FUNCTION only_grows();
