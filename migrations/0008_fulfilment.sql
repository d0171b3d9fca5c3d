-- The parcel: quoted, labelled, followed.
CREATE TABLE shipments (
    id              uuid PRIMARY KEY,
    order_id        uuid NOT NULL REFERENCES orders,
    provider        text NOT NULL,
    provider_ref    text,
    status          text NOT NULL DEFAULT 'pending' CHECK (status IN
        ('pending', 'released', 'generated', 'posted', 'delivered', 'undelivered', 'cancelled', 'expired')),
    service_code    text NOT NULL,
    price_cents     bigint NOT NULL CHECK (price_cents >= 0),
    tracking_number text,
    label_url       text,
    error           text,
    created_at      timestamptz NOT NULL DEFAULT now(),
    updated_at      timestamptz NOT NULL DEFAULT now()
);
CREATE UNIQUE INDEX shipments_one_live ON shipments (order_id) WHERE status NOT IN ('cancelled', 'expired');
CREATE UNIQUE INDEX shipments_ref ON shipments (provider, provider_ref) WHERE provider_ref IS NOT NULL;

-- What the carrier said, for the public page.
CREATE TABLE shipment_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    uuid NOT NULL REFERENCES orders,
    code        text NOT NULL,
    description text NOT NULL,
    place       text,
    happened_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (order_id, code, happened_at)
);

-- What carriers asked lately: freight is estimated from it while they are all away. Kept for 90 days.
CREATE TABLE freight_quotes (
    id           uuid PRIMARY KEY,
    cep_region   text NOT NULL CHECK (cep_region ~ '^[0-9]{3}$'),
    weight_grams integer NOT NULL CHECK (weight_grams > 0), -- the upper end of the band
    provider     text NOT NULL,
    carrier      text NOT NULL,
    service      text NOT NULL,
    service_code text NOT NULL,
    price_cents  bigint NOT NULL CHECK (price_cents > 0),
    days         integer NOT NULL CHECK (days >= 0),
    quoted_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX freight_quotes_like ON freight_quotes (cep_region, weight_grams, quoted_at DESC);
CREATE INDEX freight_quotes_age ON freight_quotes USING brin (quoted_at);
