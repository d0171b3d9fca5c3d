-- The parcel and the tax document. One NF-e per order and purpose, by a unique key, before any provider is called.
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

CREATE TABLE invoices (
    id           uuid PRIMARY KEY,              -- without dashes, the provider's reference
    order_id     uuid NOT NULL REFERENCES orders,
    purpose      text NOT NULL DEFAULT 'sale' CHECK (purpose IN ('sale', 'return')),
    provider     text NOT NULL,
    environment  text NOT NULL CHECK (environment IN ('homologacao', 'producao')),
    status       text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'authorized', 'rejected', 'denied', 'cancelled')),
    chave        text UNIQUE CHECK (chave ~ '^[0-9]{6}[0-9A-Z]{12}[0-9]{26}$'),
    number       text,
    series       text,
    total_cents  bigint NOT NULL CHECK (total_cents >= 0),
    message      text,
    body         jsonb,
    danfe_url    text,
    xml_url      text,
    xml          bytea,
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    authorized_at timestamptz
);
CREATE UNIQUE INDEX invoices_one_sale ON invoices (order_id) WHERE purpose = 'sale';
CREATE INDEX invoices_open ON invoices (updated_at) WHERE status IN ('pending', 'processing');

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
