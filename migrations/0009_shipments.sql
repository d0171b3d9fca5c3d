-- Labels and their parcels. One row per volume, written before a provider is called.
CREATE DOMAIN volume AS smallint CHECK (VALUE BETWEEN 1 AND 99);
CREATE DOMAIN shipment_status AS text CHECK (VALUE IN
    ('pending', 'carted', 'released', 'generated', 'posted', 'undelivered', 'delivered', 'cancelled', 'expired'));
CREATE TABLE shipments (
    id               uuid PRIMARY KEY,          -- the tag on the label, by which it is found at the provider
    order_id         uuid NOT NULL REFERENCES orders,
    volume           volume NOT NULL DEFAULT 1,
    provider         text NOT NULL,
    provider_ref     text,
    protocol         text,
    status           shipment_status NOT NULL DEFAULT 'pending',
    service_code     text NOT NULL,
    boxes            jsonb NOT NULL DEFAULT '[]', -- h, w, l in centimetres and g: what this label is for
    quoted_cents     cents NOT NULL DEFAULT 0, -- its share of what the carrier asked at checkout
    price_cents      cents, -- what the label costs; NULL: not known yet
    difference_cents bigint GENERATED ALWAYS AS (price_cents - quoted_cents) STORED,
    tracking_number  text,
    label_url        text,
    error            text,                      -- why it cannot be bought or given back
    given_back       boolean NOT NULL DEFAULT false, -- by the shop itself, because its sale was off; if the sale is on again, another one
                                                -- follows
    stale            boolean NOT NULL DEFAULT false, -- the order's address changed after it was asked for: it goes back, another one follows
    asked_at         timestamptz,               -- since then the provider may have it in the cart
    claim            uuid,                      -- the run that holds it, until claimed_until
    claimed_until    timestamptz,
    heard_at         timestamptz,               -- when the provider last reported about it or was asked
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT shipments_claim CHECK ((claim IS NULL) = (claimed_until IS NULL))
);
CREATE UNIQUE INDEX shipments_one_live ON shipments (order_id, volume) WHERE status NOT IN ('cancelled', 'expired');
CREATE INDEX shipments_order ON shipments (order_id);
CREATE UNIQUE INDEX shipments_ref ON shipments (provider, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX shipments_stuck ON shipments (id) WHERE error IS NOT NULL;
CREATE INDEX shipments_to_follow ON shipments (heard_at) WHERE status IN ('generated', 'posted', 'undelivered');
CREATE INDEX shipments_unpriced ON shipments (heard_at) WHERE price_cents IS NULL;

-- Tracking events, for the public page.
CREATE TABLE shipment_events (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id    uuid NOT NULL REFERENCES orders,
    shipment_id uuid REFERENCES shipments,      -- NULL: of a parcel that was posted by hand
    code        text NOT NULL,
    description text NOT NULL,
    place       text,
    happened_at timestamptz NOT NULL,
    created_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (order_id, shipment_id, code, happened_at)
);

-- Recent prices of carriers: the freight is estimated from them while no carrier answers. Kept for 90 days.
CREATE DOMAIN cep_region AS text CHECK (VALUE ~ '^[0-9]{3}$');
CREATE DOMAIN band_grams AS integer CHECK (VALUE > 0);
CREATE TABLE freight_quotes (
    id           uuid PRIMARY KEY,
    cep_region   cep_region NOT NULL,
    weight_grams band_grams NOT NULL, -- the upper end of the band
    provider     text NOT NULL,
    carrier      text NOT NULL,
    service      text NOT NULL,
    service_code text NOT NULL,
    price_cents  positive_cents NOT NULL,
    days         counter NOT NULL,
    quoted_at    timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX freight_quotes_like ON freight_quotes (cep_region, weight_grams, quoted_at DESC);
CREATE INDEX freight_quotes_age ON freight_quotes USING brin (quoted_at);
