-- People, their sessions and their addresses. A CPF or CNPJ is kept encrypted, with its key's id and an HMAC for look-up.
CREATE DOMAIN email AS text CHECK (VALUE = lower(VALUE));
CREATE DOMAIN user_role AS text CHECK (VALUE IN ('user', 'shipper', 'admin'));
CREATE TABLE users (
    id              uuid PRIMARY KEY,
    name            short_name NOT NULL,
    email           email NOT NULL UNIQUE,
    password_hash   text,                       -- NULL: nobody can sign in (erased)
    password_changed_at timestamptz,            -- NULL: since it was made
    role            user_role NOT NULL DEFAULT 'user',
    phone           text,
    tax_id_sealed   bytea,
    tax_id_key      smallint,
    tax_id_hash     bytea,
    totp_sealed     bytea,
    totp_key        smallint,
    totp_last_step  bigint,
    sms_opt_in      boolean NOT NULL DEFAULT false,
    locale          locale NOT NULL DEFAULT 'pt-BR',
    mail_blocked_at timestamptz,                -- permanent bounce or complaint
    blocked_at      timestamptz,
    erased_at       timestamptz,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT users_tax_id CHECK (num_nulls(tax_id_sealed, tax_id_key, tax_id_hash) IN (0, 3)),
    CONSTRAINT users_erased CHECK (erased_at IS NULL OR num_nonnulls(password_hash, phone, tax_id_sealed) = 0)
);
CREATE INDEX users_created ON users (created_at DESC, id);
CREATE INDEX users_search ON users USING gin (plain(name || ' ' || email) gin_trgm_ops) WHERE erased_at IS NULL;
ALTER TABLE messages ADD FOREIGN KEY (user_id) REFERENCES users;

-- One row per sign-in. Refresh tokens of a session form a family: a second use of one revokes them all.
CREATE DOMAIN session_end AS text CHECK (VALUE IN ('logout', 'reuse', 'password', 'blocked', 'role', 'erased'));
CREATE TABLE sessions (
    id             uuid PRIMARY KEY,
    user_id        uuid NOT NULL REFERENCES users,
    created_at     timestamptz NOT NULL DEFAULT now(),
    revoked_at     timestamptz,
    revoked_reason session_end,
    CONSTRAINT sessions_revoked CHECK ((revoked_at IS NULL) = (revoked_reason IS NULL))
);
CREATE INDEX sessions_age ON sessions (created_at);
CREATE INDEX sessions_user ON sessions (user_id);

CREATE TABLE refresh_tokens (
    token_hash bytea PRIMARY KEY,               -- SHA-256; the token itself is not stored
    session_id uuid NOT NULL REFERENCES sessions ON DELETE CASCADE,
    issued_at  timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX refresh_tokens_session ON refresh_tokens (session_id);
CREATE INDEX refresh_tokens_expiry ON refresh_tokens (expires_at);
-- One current token per family, so of two rotations at once only one succeeds.
CREATE UNIQUE INDEX refresh_tokens_one_unused ON refresh_tokens (session_id) WHERE used_at IS NULL;

CREATE TABLE password_resets (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX password_resets_user ON password_resets (user_id);

-- A new e-mail, from the request to the click in the mail that goes to it.
CREATE TABLE email_changes (
    id           uuid PRIMARY KEY,
    user_id      uuid NOT NULL REFERENCES users,
    old_email    email NOT NULL,
    new_email    email NOT NULL,
    token_hash   bytea NOT NULL UNIQUE,
    created_at   timestamptz NOT NULL DEFAULT now(),
    expires_at   timestamptz NOT NULL,
    ended_at     timestamptz,                   -- confirmed, or overtaken by another one
    confirmed_at timestamptz,
    CONSTRAINT email_changes_confirmed CHECK (confirmed_at IS NULL OR ended_at IS NOT NULL)
);
CREATE INDEX email_changes_user ON email_changes (user_id);

-- Somebody without an account asked for their data, or for its erasure.
CREATE TABLE privacy_requests (
    id         uuid PRIMARY KEY,
    email      email NOT NULL,
    locale     locale NOT NULL,
    token_hash bytea NOT NULL UNIQUE,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    used_at    timestamptz
);
CREATE INDEX privacy_requests_email ON privacy_requests (email);

-- What people with an account agreed to and took back: it only grows (LGPD, article 8, § 2: the shop proves a consent). A guest's stands
-- with the order (orders.privacy_version, orders.sms_opt_in).
CREATE DOMAIN consent_subject AS text CHECK (VALUE IN ('privacy', 'sms'));
CREATE TABLE consents (
    id      uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users,
    subject consent_subject NOT NULL,
    version text NOT NULL DEFAULT '',           -- of the text that was shown; '': none was named
    granted boolean NOT NULL,
    at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX consents_user ON consents (user_id);

CREATE TABLE addresses (
    id         uuid PRIMARY KEY,
    user_id    uuid NOT NULL REFERENCES users,
    label      text,
    recipient  text NOT NULL,
    cep        cep NOT NULL,
    street     text NOT NULL,
    number     text NOT NULL,
    complement text,
    district   text NOT NULL,
    city       text NOT NULL,
    state      uf NOT NULL,
    ibge_city  ibge_city,
    phone      text,
    is_default boolean NOT NULL DEFAULT false,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX addresses_user ON addresses (user_id);
CREATE UNIQUE INDEX addresses_one_default ON addresses (user_id) WHERE is_default;
