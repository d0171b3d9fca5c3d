-- The outbox: what must happen after a commit is a row in the same transaction, run by workers under a lease.
CREATE DOMAIN job_state AS text CHECK (VALUE IN ('waiting', 'running', 'done', 'dead'));
-- The rule over columns of a job. Why it is a function: docs/decisions/0021.
CREATE FUNCTION job_is_sound(state text, lease uuid, lease_until timestamptz, finished_at timestamptz)
RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN num_nonnulls(lease, lease_until) = CASE state WHEN 'running' THEN 2 ELSE 0 END
       AND (finished_at IS NOT NULL) = (state IN ('done', 'dead'));
END $$;
CREATE TABLE jobs (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL,
    payload      jsonb NOT NULL,
    dedupe       text,                          -- at most one unfinished job with this key
    state        job_state NOT NULL DEFAULT 'waiting',
    run_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    lease_until  timestamptz,
    lease        uuid,                          -- only the worker with this lease may finish it
    again        boolean NOT NULL DEFAULT false, -- queued again while it runs: that run may have read an earlier state, so another one follows
    last_error   text,
    cause        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    CONSTRAINT jobs_states CHECK (job_is_sound(state, lease, lease_until, finished_at))
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.02, autovacuum_analyze_scale_factor = 0.02); -- docs/decisions/0032
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_');
CREATE INDEX jobs_messages_due ON jobs (run_at) WHERE state = 'waiting' AND left(kind, 4) IN ('mail', 'sms_');
-- Mails that somebody waits for: the list is in src/jobs.rs. None of them is written by a checkout.
CREATE INDEX jobs_mails_first ON jobs (run_at) WHERE state = 'waiting' AND kind IN (
    'mail_password_reset', 'mail_email_confirm', 'mail_email_changed', 'mail_password_changed', 'mail_privacy_request', 'mail_order_link');
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('done', 'dead');
-- Whether a job died lately is asked of every payment and order that is looked at; the done ones of an hour are a hundred thousand.
CREATE INDEX jobs_dead ON jobs (dedupe) WHERE state = 'dead';
-- The administrators' search: by the beginning of a kind, and by what dead jobs failed with.
CREATE INDEX jobs_kind ON jobs (kind text_pattern_ops);
CREATE INDEX jobs_errors ON jobs USING gin (plain(last_error) gin_trgm_ops) WHERE state = 'dead';
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe) WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running');

-- The inbox: events of providers, one row per event. A forged delivery is not written down.
CREATE TABLE webhook_events (
    id           uuid PRIMARY KEY,
    provider     text NOT NULL,
    event_id     text NOT NULL,
    event        text NOT NULL,
    body         bytea NOT NULL,
    outcome      text NOT NULL DEFAULT 'received', -- what the event did
    order_id     uuid,
    request_id   text NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, event_id)
);
CREATE INDEX webhook_events_received ON webhook_events (received_at);
CREATE INDEX webhook_events_order ON webhook_events (order_id) WHERE order_id IS NOT NULL;
-- Events whose body is still kept, the oldest first: for the job that removes bodies.
CREATE INDEX webhook_events_bodies ON webhook_events (received_at) WHERE body <> '';

-- First answers, sent again for each repeat with the same key. `status` is NULL while the first request is running.
CREATE TABLE idempotency_keys (
    scope       text COLLATE "C" NOT NULL,      -- the sender and the route; of no locale, so that its beginning finds it
    key         text NOT NULL,
    fingerprint bytea NOT NULL,                 -- SHA-256 of the body: another body under the same key is refused
    status      smallint,
    body        bytea,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
) WITH (autovacuum_vacuum_scale_factor = 0.05);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Mails and SMS, rendered once and stored: every try sends the same text under the same key.
CREATE DOMAIN message_channel AS text CHECK (VALUE IN ('email', 'sms'));
CREATE DOMAIN message_status AS text CHECK (VALUE IN ('queued', 'sent', 'delivered', 'bounced', 'failed'));
CREATE TABLE messages (
    id           uuid PRIMARY KEY,
    event        text NOT NULL UNIQUE,          -- `order_paid:<order>`, `sms_order_paid:<order>`: one message per event
    kind         text NOT NULL,
    channel      message_channel NOT NULL,
    order_id     uuid,                          -- REFERENCES orders: 0006_orders.sql
    user_id      uuid,                          -- REFERENCES users: 0003_users.sql
    recipient    text,                          -- NULL once the person was erased
    subject      text NOT NULL,
    html         text,
    body         text,
    status       message_status NOT NULL DEFAULT 'queued',
    provider     text NOT NULL,
    provider_ref text,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    claimed_at   timestamptz,                   -- a run sends it since then; if that run dies, another may claim it two minutes later
    open_tries   smallint NOT NULL DEFAULT 0,   -- tries that may have reached the provider
    tried_at     timestamptz,                   -- the first of them
    sent_at      timestamptz,
    batch_rank   smallint,                      -- it is sent by a call with others, the lowest first; NULL: by a call of its own. docs/decisions/0033
    batch_id     uuid,                          -- the call whose outcome is not known yet: a repeat has the same mails
    CONSTRAINT messages_tries CHECK (open_tries >= 0 AND (open_tries = 0) = (tried_at IS NULL)),
    CONSTRAINT messages_html CHECK (channel = 'email' OR html IS NULL)
    -- The text beside the row, and room for its next version: each is changed twice or more, and eight to ten indexes point at it.
) WITH (fillfactor = 50, toast_tuple_target = 256, autovacuum_vacuum_scale_factor = 0.05); -- docs/decisions/0032
CREATE INDEX messages_order ON messages (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX messages_user ON messages (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX messages_ref ON messages (provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX messages_words ON messages (created_at) WHERE body IS NOT NULL;
CREATE INDEX messages_search ON messages USING gin (plain(coalesce(recipient, '') || ' ' || subject) gin_trgm_ops);
CREATE INDEX messages_for_batch ON messages (batch_rank, id) WHERE batch_rank IS NOT NULL AND batch_id IS NULL AND status = 'queued';
CREATE INDEX messages_batch ON messages (batch_id) WHERE batch_id IS NOT NULL;
CREATE INDEX messages_queued ON messages (recipient) WHERE status = 'queued';

CREATE TABLE audit_log (
    id        bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    actor     text NOT NULL,
    action    text NOT NULL,                    -- product.update, coupon.create, user.role …
    entity_id text NOT NULL,
    before    jsonb,
    after     jsonb,
    cause     text NOT NULL,
    at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX audit_log_at ON audit_log (at);
CREATE INDEX audit_log_entity ON audit_log (entity_id);
CREATE TRIGGER audit_log_grow BEFORE UPDATE OR DELETE ON audit_log FOR EACH ROW EXECUTE FUNCTION only_grows();

-- The shop's own data, one row per subject: company, shipping, payment_methods, invoice, stock.
CREATE TABLE settings (
    name       text PRIMARY KEY,
    value      jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Addresses of CEPs, cached for weeks and shared by all servers.
CREATE TABLE cep_cache (
    cep        cep PRIMARY KEY,
    address    jsonb,                           -- NULL: asked, and unknown
    fetched_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX cep_cache_age ON cep_cache (fetched_at);
CREATE INDEX cep_cache_unknown ON cep_cache (fetched_at) WHERE address IS NULL;

-- Keys that the shop made for itself, each encrypted with one of DATA_KEYS: a dump of the database does not reveal them. Hashes and tokens
-- made with them stay valid when JWT_SECRET or DATA_KEYS change.
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

-- Alerts: what the operator must know. Raising an alert only inserts a row into alert_occurrences, so that transactions which raise the
-- same key at once never wait for each other; one job counts them into alerts, one row per key and day.
CREATE DOMAIN alert_severity AS text CHECK (VALUE IN ('critical', 'warning', 'info'));
CREATE DOMAIN alert_key AS text CHECK (VALUE ~ '^[a-z][a-z-]*(:.+)?$' AND length(VALUE) <= 200);

CREATE TABLE alert_occurrences (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key          alert_key NOT NULL,
    severity     alert_severity NOT NULL,
    subject      text NOT NULL,
    text         text NOT NULL,
    order_number text,
    cause        text NOT NULL,                 -- request:…, job:…, webhook:…
    raised_at    timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE alerts (
    id              uuid PRIMARY KEY,
    key             alert_key NOT NULL,
    day             date NOT NULL,              -- the shop's: America/Sao_Paulo
    severity        alert_severity NOT NULL,
    subject         text NOT NULL,
    text            text NOT NULL,              -- of the latest occurrence
    order_numbers   text[] NOT NULL DEFAULT '{}', -- the first twenty orders that it was about
    cause           text NOT NULL,              -- of the latest occurrence
    count           bigint NOT NULL CHECK (count > 0),
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    told_at         timestamptz,                -- when a mail (without an address: the log) last reported it
    told_count      bigint NOT NULL DEFAULT 0,  -- how many occurrences that mail counted
    told_by         text,                       -- the mail: messages.event; NULL: the log
    acknowledged_at timestamptz,
    acknowledged_by text,                       -- admin:…
    UNIQUE (key, day),
    CHECK (first_at <= last_at),
    CHECK (told_count BETWEEN 0 AND count AND (told_at IS NULL) = (told_count = 0)),
    CHECK (told_by IS NULL OR told_at IS NOT NULL),
    CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);
-- Alerts that are still to be mailed: few, however many alerts there are.
CREATE INDEX alerts_untold ON alerts (first_at) WHERE told_count < count;
CREATE INDEX alerts_told_by ON alerts (told_by) WHERE told_by IS NOT NULL;
CREATE INDEX alerts_day ON alerts (day);
