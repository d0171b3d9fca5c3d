-- The outbox: what must happen after a commit is a row in the same transaction, run by workers under a lease.
CREATE TABLE jobs (
    id           uuid PRIMARY KEY,
    kind         text NOT NULL,
    payload      jsonb NOT NULL,
    dedupe       text,                          -- at most one unfinished job with this key
    state        text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'running', 'done', 'dead')),
    run_at       timestamptz NOT NULL DEFAULT now(),
    attempts     integer NOT NULL DEFAULT 0,
    max_attempts integer NOT NULL,
    lease_until  timestamptz,
    lease        uuid,                          -- who may finish it: a worker that lost its lease may not
    last_error   text,
    cause        text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    finished_at  timestamptz,
    CHECK ((state = 'running') = (lease IS NOT NULL)),
    CHECK ((state = 'running') = (lease_until IS NOT NULL)),
    CHECK ((state IN ('done', 'dead')) = (finished_at IS NOT NULL))
) WITH (fillfactor = 80);
CREATE INDEX jobs_due ON jobs (run_at) WHERE state = 'waiting' AND left(kind, 4) NOT IN ('mail', 'sms_');
CREATE INDEX jobs_messages_due ON jobs (run_at) WHERE state = 'waiting' AND left(kind, 4) IN ('mail', 'sms_');
CREATE INDEX jobs_leased ON jobs (lease_until) WHERE state = 'running';
CREATE INDEX jobs_finished ON jobs (finished_at) WHERE state IN ('done', 'dead');
CREATE UNIQUE INDEX jobs_dedupe ON jobs (dedupe) WHERE dedupe IS NOT NULL AND state IN ('waiting', 'running');

-- What providers told us, once per event. A forged delivery never gets here.
CREATE TABLE webhook_events (
    id           uuid PRIMARY KEY,
    provider     text NOT NULL,
    event_id     text NOT NULL,
    event        text NOT NULL,
    body         bytea NOT NULL,
    outcome      text NOT NULL DEFAULT 'received', -- what it did, in a word or two
    order_id     uuid,
    request_id   text NOT NULL,
    received_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (provider, event_id)
);
CREATE INDEX webhook_events_received ON webhook_events (received_at);
CREATE INDEX webhook_events_order ON webhook_events (order_id) WHERE order_id IS NOT NULL;

-- First answers, repeated to whoever asks again with the same key. `status` is NULL while the first one is at work.
CREATE TABLE idempotency_keys (
    scope       text NOT NULL,                  -- who and which route
    key         text NOT NULL,
    fingerprint bytea NOT NULL,                 -- SHA-256 of the body: another body under the same key is refused
    status      smallint,
    body        bytea,
    lease_until timestamptz,
    created_at  timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (scope, key)
);
CREATE INDEX idempotency_keys_age ON idempotency_keys (created_at);

-- Mails and texts, rendered once and kept: every repeat sends the same words under the same key.
CREATE TABLE messages (
    id           uuid PRIMARY KEY,
    event        text NOT NULL UNIQUE,          -- `order_paid:<order>`, `sms_order_paid:<order>`: one message per event
    kind         text NOT NULL,
    channel      text NOT NULL CHECK (channel IN ('email', 'sms')),
    order_id     uuid REFERENCES orders,
    user_id      uuid REFERENCES users,
    recipient    text,                          -- NULL once the person was erased
    subject      text NOT NULL,
    html         text,
    body         text,
    status       text NOT NULL DEFAULT 'queued' CHECK (status IN ('queued', 'sent', 'delivered', 'bounced', 'failed')),
    provider     text NOT NULL,
    provider_ref text,
    error        text,
    created_at   timestamptz NOT NULL DEFAULT now(),
    claimed_at   timestamptz,                   -- being handed over since; who died over it has lost it two minutes later
    open_tries   smallint NOT NULL DEFAULT 0 CHECK (open_tries >= 0), -- tries that may have reached the provider
    tried_at     timestamptz,                   -- the first of them
    sent_at      timestamptz,
    CHECK ((open_tries = 0) = (tried_at IS NULL)),
    CHECK (channel = 'email' OR html IS NULL)
);
CREATE INDEX messages_order ON messages (order_id) WHERE order_id IS NOT NULL;
CREATE INDEX messages_user ON messages (user_id) WHERE user_id IS NOT NULL;
CREATE INDEX messages_ref ON messages (provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX messages_words ON messages (created_at) WHERE body IS NOT NULL;
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

-- Variants that were sold down to the shop's mark, and told of. Forgotten once there is more again.
CREATE TABLE stock_alerts (
    variant_id uuid PRIMARY KEY,
    told_at    timestamptz NOT NULL DEFAULT now()
);

-- Look-ups that stay true for weeks, shared by all servers.
CREATE TABLE cep_cache (
    cep        text PRIMARY KEY CHECK (cep ~ '^[0-9]{8}$'),
    address    jsonb,                           -- NULL: asked, and unknown
    fetched_at timestamptz NOT NULL DEFAULT now()
);
