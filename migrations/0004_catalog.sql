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

-- The words of the search. Products and queries pass through the same functions: docs/decisions/0026.
CREATE TEXT SEARCH CONFIGURATION vitrine_pt (COPY = portuguese);

-- A word behind a number, as its unit.
CREATE FUNCTION search_unit(word text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT '{"g": "g", "gr": "g", "grs": "g", "grama": "g", "gramas": "g", "kg": "kg", "kgs": "kg", "kilo": "kg", "kilos": "kg", "quilo": "kg",
        "quilos": "kg", "quilograma": "kg", "quilogramas": "kg", "mg": "mg", "l": "l", "lt": "l", "lts": "l", "litro": "l", "litros": "l",
        "ml": "ml", "mls": "ml", "mililitro": "ml", "mililitros": "ml", "m": "m", "mt": "m", "mts": "m", "metro": "m", "metros": "m",
        "cm": "cm", "cms": "cm", "centimetro": "cm", "centimetros": "cm", "mm": "mm", "milimetro": "mm", "milimetros": "mm",
        "v": "v", "volt": "v", "volts": "v", "w": "w", "watt": "w", "watts": "w", "kw": "kw", "pol": "pol", "polegada": "pol", "polegadas": "pol",
        "un": "un", "und": "un", "unds": "un", "unid": "un", "unids": "un", "unidade": "un", "unidades": "un", "gb": "gb", "giga": "gb",
        "gigas": "gb", "tb": "tb", "mb": "mb", "mah": "mah", "ah": "ah", "hz": "hz", "mhz": "mhz", "ghz": "ghz", "btu": "btu", "btus": "btu",
        "hp": "hp", "mp": "mp"}'::jsonb ->> word $$;

-- What was typed as words: lower-case letters without accents, digits, single spaces. A number and its unit are one word
-- (`250 g`, `1,5 Litros` → `250g`, `1d5l`), other digits and letters are two. -ão and its plurals become -wn, so that `bota`
-- is not the beginning of `botão`. A hyphen or apostrophe between letters parts words; where `joined`, it drops out.
CREATE FUNCTION search_words(typed text, joined boolean DEFAULT false) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    t text COLLATE "C" := translate(typed, '™®©ªº°', '      ');
    words text[];
    unit text;
BEGIN
    IF octet_length(t) > length(t) THEN
        t := public.unaccent('public.unaccent'::regdictionary, normalize(t, NFKC));
    END IF;
    t := lower(t);
    IF left(t, 1) = '"' THEN
        t := replace(t, '"', ' '); -- a query in quotation marks, not inches
    END IF;
    IF t ~ '\d' THEN
        t := regexp_replace(t, '(\d)\s*(?:''''|["”″]|′′)', '\1 pol ', 'g');
        IF t ~ '\d[.,]\d' THEN
            t := regexp_replace(t, '(?<![\d.,])(\d{1,3})\.(\d{3})(?![\d.,]*\d)', '\1\2', 'g'); -- 1.000
            t := regexp_replace(t, '(?<![\d.,])(\d+)[.,](\d+)(?![.,]?\d)', '\1_\2', 'g');      -- 1,5 and 1.5
        END IF;
    END IF;
    t := regexp_replace(t, '([a-z])[''’´`-](?=[a-z])', CASE WHEN joined THEN '\1' ELSE '\1 ' END, 'g');
    t := regexp_replace(t, '(?:[^a-z0-9_\u00c0-\u1fff\u2c00-\U0010ffff]|(?<!\d)_|_(?!\d))+', ' ', 'g');
    IF t ~ '\d' THEN
        t := regexp_replace(regexp_replace(t, '(\d)(?=[a-z])', '\1 ', 'g'), '([a-z])(?=\d)', '\1 ', 'g');
        IF strpos(t, '_') > 0 THEN
            t := replace(regexp_replace(t, '(?:_0+|(_\d*?)0+)(?!\d)', '\1', 'g'), '_', 'd');
        END IF;
        words := string_to_array(btrim(t), ' ');
        FOR n IN 2 .. cardinality(words) LOOP
            IF right(words[n - 1], 1) BETWEEN '0' AND '9' THEN
                unit := public.search_unit(words[n]);
                IF unit IS NOT NULL THEN
                    words[n - 1 : n] := ARRAY[words[n - 1] || unit, ''];
                END IF;
            END IF;
        END LOOP;
        t := array_to_string(array_remove(words, ''), ' ');
    END IF;
    t := regexp_replace(replace(' ' || t || ' ', ' maes ', ' mae '), '([a-z])(?:oes|aes|aos|ao)\M', '\1wn', 'g');
    RETURN btrim(t);
END $$;

-- Words with plurals as their singulars, before the stemmer. Endings that have the same plural are written as one: `anel` and `anéis`
-- as `anewl`, `funil` and `funis` as `funwl`, like `biquíni` and `biquínis`. -eses and -ises are the plurals of -ês and -ís as of -ese and
-- -ise, so these six lose what they do not share: `chinês` and `chineses`, `crise` and `crises`.
CREATE FUNCTION search_singular(words text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    t text COLLATE "C" := regexp_replace(words, '([aeiou][rz]|\m(?:mes|gas|lilas|ananas|deus|adeus|retros|obus))es\M', '\1', 'g');
BEGIN
    t := regexp_replace(t, '([a-z]{2}[ei])ses?\M', '\1', 'g');
    -- Words that no rule below may change get a q at their end.
    t := regexp_replace(t, '\m(mais|demais|tenis|lapis|gratis|oasis|iris|pires|onibus|gas|mes|tres|bus|plus|atlas|virus|bonus|jeans)\M',
                        '\1q', 'g');
    t := regexp_replace(t, '\m(inut|ut|fac|dific|frag|ag|portat|versat|text|fert|infert|foss|rept|doc|tat|projet|miss|volat|hab|deb|retrat|contrat|ester|estenc|pens|duct|tact)eis\M',
                        '\1il', 'g');
    t := regexp_replace(t, '([aeiou])ns?\M', '\1m', 'g');
    t := regexp_replace(t, '([aeou])(?:l|is?)\M|([b-df-hj-np-tv-z])i[ls]?\M', '\1\2wl', 'g');
    RETURN regexp_replace(t, '([a-z][aeou])s\M', '\1', 'g');
END $$;

-- A product's name, keywords or description: its words in every way in which they may be asked for.
CREATE FUNCTION search_text(written text) RETURNS text
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    t text COLLATE "C" := public.search_words(written);
    apart text COLLATE "C" := t;
BEGIN
    IF written ~ '[''’´`-]' THEN
        t := t || ' ' || public.search_words(written, true);
    END IF;
    IF apart ~ '\d[a-z]' THEN
        FOR i IN 1 .. 2 LOOP -- `110/220V` is of 110 V too, `10x15x20 cm` of 10 cm
            apart := regexp_replace(apart, '\m(\d[d\d]*) (x )?(\d[d\d]*)([a-z]+)\M', '\1\4 \2\3\4', 'g');
        END LOOP;
        t := t || ' ' || apart || ' ' || regexp_replace(apart, '(\d)([a-ce-z][a-z]*)\M', '\1 \2', 'g');
    END IF;
    RETURN t;
END $$;

-- The whole title as one lexeme. A title without a letter or digit stands for itself.
CREATE FUNCTION search_title(written text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT 'zt' || md5(coalesce(nullif(public.search_words(written), ''), written)) $$;

-- The first word, which names the thing, as one lexeme.
CREATE FUNCTION search_first(written text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT 'zs' || split_part(public.search_singular(public.search_words(written)), ' ', 1) $$;

-- Each word with a mark: unfinished words are looked up among these, not among stems.
CREATE FUNCTION search_starts(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT CASE words WHEN '' THEN '' ELSE replace(' ' || words, ' ', ' qz') END $$;

CREATE FUNCTION search_vector(name text, keywords text, description text) RETURNS tsvector
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    named text := public.search_text(name);
    key text := public.search_text(keywords);
BEGIN
    RETURN setweight(to_tsvector('public.vitrine_pt'::regconfig, public.search_singular(named)), 'A')
        || setweight(to_tsvector('pg_catalog.simple'::regconfig, concat_ws(' ', public.search_starts(named), public.search_first(name), public.search_title(name))), 'A')
        || setweight(to_tsvector('public.vitrine_pt'::regconfig, public.search_singular(key)), 'B')
        || setweight(to_tsvector('pg_catalog.simple'::regconfig, public.search_starts(key)), 'B')
        || setweight(to_tsvector('public.vitrine_pt'::regconfig, public.search_singular(public.search_text(description))), 'C');
END $$;

-- All words, of which the last may be incomplete.
CREATE FUNCTION search_all(words text) RETURNS tsquery
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE AS $$
DECLARE
    last text := split_part(words, ' ', -1);
    wanted tsquery := plainto_tsquery('public.vitrine_pt'::regconfig, public.search_singular(words));
BEGIN
    IF length(last) < 2 OR numnode(plainto_tsquery('public.vitrine_pt'::regconfig, last)) = 0 THEN
        RETURN wanted;
    END IF;
    RETURN wanted || (plainto_tsquery('public.vitrine_pt'::regconfig, public.search_singular(left(words, -length(last))))
                      && to_tsquery('pg_catalog.simple'::regconfig, '''qz' || last || ''':*'));
END $$;

-- What a query finds. Synonyms are lists of words or phrases of which each may stand for the others.
CREATE FUNCTION search_query(typed text, synonyms jsonb DEFAULT '[]') RETURNS tsquery
    LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE AS $$
DECLARE
    ways text[] := ARRAY[public.search_words(typed), public.search_words(typed, true)];
    wanted tsquery := public.search_title(typed)::tsquery;
    alike text[];
    way text;
BEGIN
    FOR alike IN SELECT ARRAY(SELECT public.search_words(w) FROM jsonb_array_elements_text(l) w) FROM jsonb_array_elements(synonyms) l LOOP
        ways := ways || ARRAY(
            SELECT btrim(replace(' ' || a || ' ', ' ' || f || ' ', ' ' || b || ' '))
              FROM unnest(ways) a, unnest(alike) f, unnest(alike) b
             WHERE f <> b AND f <> '' AND strpos(' ' || a || ' ', ' ' || f || ' ') > 0 LIMIT 20);
    END LOOP;
    FOR way IN SELECT DISTINCT w FROM unnest(ways) w WHERE w <> '' LIMIT 40 LOOP
        wanted := wanted || public.search_all(way);
    END LOOP;
    RETURN wanted;
END $$;

-- The short words of a query, and those with digits: a guess at misspelled words keeps to them, since `bota` is as near to `botão`.
CREATE FUNCTION search_short(typed text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT coalesce(public.search_all(string_agg(w, ' ' ORDER BY n))::text, '')
      FROM unnest(string_to_array(public.search_words(typed), ' ')) WITH ORDINALITY AS words (w, n) WHERE length(w) <= 4 OR w ~ '\d' $$;

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
    search       tsvector NOT NULL GENERATED ALWAYS AS (search_vector(name, keywords, description)) STORED
);
-- One index per order of the list; `id` makes every order total, so that a cursor never skips or repeats.
CREATE INDEX products_newest ON products (created_at DESC, id DESC) WHERE active AND deleted_at IS NULL;
CREATE INDEX products_price ON products (price_cents, id) WHERE active AND deleted_at IS NULL;
CREATE INDEX products_name ON products (plain(name), id) WHERE active AND deleted_at IS NULL;
-- Deleted products too: a category that is deleted looks for all of its products.
CREATE INDEX products_category ON products (category_id, created_at DESC, id DESC);
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
CREATE INDEX variants_price ON variants (price_cents, product_id) WHERE deleted_at IS NULL; -- lists by a range of prices
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

-- Imports of product tables. `imported` counts what stands, in the transaction that wrote it; purged after a year.
CREATE DOMAIN import_state AS text CHECK (VALUE IN ('running', 'done', 'stopped'));
CREATE TABLE product_imports (
    id          uuid PRIMARY KEY,
    state       import_state NOT NULL DEFAULT 'running',
    actor       text NOT NULL,
    total       counter NOT NULL,               -- products of the table
    imported    json_object NOT NULL,
    error       text,                           -- why it stopped
    started_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    finished_at timestamptz,
    CONSTRAINT product_imports_ends CHECK ((finished_at IS NULL) = (state = 'running') AND (error IS NOT NULL) = (state = 'stopped'))
);
CREATE INDEX product_imports_started ON product_imports (started_at);

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
