-- The tax document (NF-e, model 55). The row, and with it the provider's reference, stands before any provider is called.
CREATE TABLE invoices (
    id               uuid PRIMARY KEY,          -- without dashes, the provider's reference
    order_id         uuid NOT NULL REFERENCES orders,
    purpose          text NOT NULL DEFAULT 'sale' CHECK (purpose IN ('sale', 'return')),
    sale_id          uuid REFERENCES invoices,  -- what a return gives back
    refund_id        uuid REFERENCES refunds,   -- NULL: the whole sale, cancelled too late for its invoice
    lines            jsonb,                     -- of a return: how many of which lines
    provider         text NOT NULL,
    environment      text NOT NULL CHECK (environment IN ('homologacao', 'producao')),
    status           text NOT NULL DEFAULT 'pending'
        CHECK (status IN ('pending', 'processing', 'authorized', 'rejected', 'denied', 'cancelled')),
    issued_at        timestamptz NOT NULL DEFAULT now(), -- its date of emission; a rejected one gets a new one
    sent_at          timestamptz,               -- the first try that may have reached the provider
    chave            text UNIQUE CHECK (chave ~ '^[0-9]{6}[0-9A-Z]{12}[0-9]{26}$'),
    number           text,
    series           text,
    total_cents      bigint NOT NULL CHECK (total_cents >= 0),
    code             text,                      -- the tax authority's
    message          text,                      -- why it was rejected, for the shop's eyes
    problems         jsonb,                     -- what we refused ourselves, field by field
    buyer_ibge_city  text CHECK (buyer_ibge_city ~ '^[0-9]{7}$'), -- given by the shop where the CEP does not tell
    cancel_reason    text,                      -- asked to be cancelled
    cancel_refused   text,
    danfe_ref        text,                      -- the provider's addresses of the files
    xml_ref          text,
    cancellation_ref text,
    danfe            bytea,
    xml              bytea,                     -- kept for FISCAL_RETENTION
    xml_sha256       bytea,
    cancellation_xml bytea,
    created_at       timestamptz NOT NULL DEFAULT now(),
    updated_at       timestamptz NOT NULL DEFAULT now(),
    authorized_at    timestamptz,
    cancelled_at     timestamptz,
    CHECK ((purpose = 'return') = (sale_id IS NOT NULL)),
    CHECK (status NOT IN ('authorized') OR (chave IS NOT NULL AND authorized_at IS NOT NULL)),
    CHECK ((xml IS NULL) = (xml_sha256 IS NULL))
);
-- One live sale per order. What was denied or cancelled may be followed by another.
CREATE UNIQUE INDEX invoices_one_sale ON invoices (order_id) WHERE purpose = 'sale' AND status NOT IN ('denied', 'cancelled');
CREATE UNIQUE INDEX invoices_one_return ON invoices (sale_id, refund_id) NULLS NOT DISTINCT
    WHERE purpose = 'return' AND status NOT IN ('denied', 'cancelled');
CREATE INDEX invoices_order ON invoices (order_id);
CREATE INDEX invoices_open ON invoices (updated_at) WHERE status IN ('pending', 'processing');
CREATE INDEX invoices_to_mend ON invoices (id) WHERE status IN ('rejected', 'denied');
CREATE INDEX invoices_kept ON invoices (authorized_at) WHERE xml IS NOT NULL;

-- Cartas de correção: at most 20 per invoice, the last one replaces all before it.
CREATE TABLE invoice_corrections (
    id         uuid PRIMARY KEY,
    invoice_id uuid NOT NULL REFERENCES invoices,
    sequence   smallint NOT NULL CHECK (sequence BETWEEN 1 AND 20),
    text       text NOT NULL CHECK (length(text) BETWEEN 15 AND 1000),
    status     text NOT NULL DEFAULT 'pending' CHECK (status IN ('pending', 'accepted', 'refused')),
    message    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (invoice_id, sequence)
);
CREATE UNIQUE INDEX invoice_corrections_one_open ON invoice_corrections (invoice_id) WHERE status = 'pending';
