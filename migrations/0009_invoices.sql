-- The tax document. One NF-e per order and purpose, by a unique key, before any provider is called.
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
