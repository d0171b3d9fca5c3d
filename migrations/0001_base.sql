-- The ground: Portuguese search that ignores accents, and tables that only grow.
CREATE EXTENSION IF NOT EXISTS unaccent;
CREATE EXTENSION IF NOT EXISTS pg_trgm;

-- "café", "cafes" and "cafés" are one lexeme. Words with accents lose them before they are stemmed.
CREATE TEXT SEARCH CONFIGURATION vitrine_pt (COPY = portuguese);
ALTER TEXT SEARCH CONFIGURATION vitrine_pt
    ALTER MAPPING FOR hword, hword_part, word WITH unaccent, portuguese_stem;

-- unaccent() itself is only STABLE because its dictionary can be replaced; named explicitly it can be indexed.
CREATE FUNCTION plain(words text) RETURNS text
    LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
    AS $$ SELECT lower(public.unaccent('public.unaccent'::regdictionary, words)) $$;

-- Ledgers and histories are added to, never rewritten. Costs nothing on INSERT.
CREATE FUNCTION only_grows() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% only grows: add a row instead', TG_TABLE_NAME USING ERRCODE = 'integrity_constraint_violation';
END $$;
