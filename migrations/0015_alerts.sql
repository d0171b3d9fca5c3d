-- What the operator must know. Raising an alert only inserts a row into alert_occurrences, so that transactions which raise the
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
    order_numbers   text[] NOT NULL DEFAULT '{}', -- the first twenty that it named
    cause           text NOT NULL,              -- of the latest occurrence
    count           bigint NOT NULL CHECK (count > 0),
    first_at        timestamptz NOT NULL,
    last_at         timestamptz NOT NULL,
    told_at         timestamptz,                -- when a mail (or the log, without an address) last told of it
    told_count      bigint NOT NULL DEFAULT 0,  -- how many occurrences it told of
    told_by         text,                       -- the mail: messages.event; NULL where the log was told
    acknowledged_at timestamptz,
    acknowledged_by text,                       -- admin:…
    UNIQUE (key, day),
    CHECK (first_at <= last_at),
    CHECK (told_count BETWEEN 0 AND count AND (told_at IS NULL) = (told_count = 0)),
    CHECK (told_by IS NULL OR told_at IS NOT NULL),
    CHECK ((acknowledged_by IS NULL) = (acknowledged_at IS NULL))
);
-- What is still to be told is little, however many alerts there are.
CREATE INDEX alerts_untold ON alerts (first_at) WHERE told_count < count;
CREATE INDEX alerts_told_by ON alerts (told_by) WHERE told_by IS NOT NULL;
CREATE INDEX alerts_day ON alerts (day);

-- The six older ways to the operator are gone, and with them what kept them from mailing twice.
DROP INDEX jobs_alerts;
ALTER TABLE shipments DROP COLUMN alerted_at;
