-- Used by the tables of all files: text without accents, tables whose rows never change, and domains.
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- unaccent() itself is only STABLE because its dictionary can be replaced; named explicitly it can be indexed.
CREATE FUNCTION plain(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT lower(public.unaccent('public.unaccent'::regdictionary, words)) $$;

-- Rows of ledgers and histories are only inserted. The trigger does not run on INSERT.
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows: add a row instead', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;

-- A rule about one value is a DOMAIN: PostgreSQL compiles its check once per session, a table's CHECKs once per statement.
-- Those of more than one table stand here, the others above their table.
CREATE DOMAIN cents AS bigint CHECK (VALUE >= 0);
CREATE DOMAIN positive_cents AS bigint CHECK (VALUE > 0);
CREATE DOMAIN quantity AS integer CHECK (VALUE BETWEEN 1 AND 9999);     -- of one variant, in a cart or an order
CREATE DOMAIN counter AS integer CHECK (VALUE >= 0);
CREATE DOMAIN short_name AS text CHECK (length(VALUE) BETWEEN 1 AND 120);
-- Of no locale, so that the beginning of a slug finds it.
CREATE DOMAIN slug AS text COLLATE "C" CHECK (VALUE ~ '^[a-z0-9]+(-[a-z0-9]+)*$');
CREATE DOMAIN json_object AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');
CREATE DOMAIN locale AS text CHECK (VALUE IN ('pt-BR', 'en'));          -- the language of messages
CREATE DOMAIN cep AS text CHECK (VALUE ~ '^[0-9]{8}$');
CREATE DOMAIN uf AS text CHECK (VALUE ~ '^[A-Z]{2}$');
CREATE DOMAIN ibge_city AS text CHECK (VALUE ~ '^[0-9]{7}$');
CREATE DOMAIN ncm AS text CHECK (VALUE ~ '^[0-9]{8}$');
CREATE DOMAIN cfop AS text CHECK (VALUE ~ '^[0-9]{4}$');
CREATE DOMAIN tax_origin AS smallint CHECK (VALUE BETWEEN 0 AND 8);
CREATE DOMAIN payment_method AS text CHECK (VALUE IN ('pix', 'credit_card', 'wallet'));
