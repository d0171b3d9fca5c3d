-- The tax document (NF-e, model 55). The row, whose id is the provider's reference, is written before a provider is called.
CREATE DOMAIN invoice_purpose AS text CHECK (VALUE IN ('sale', 'return'));
CREATE DOMAIN invoice_status AS text CHECK (VALUE IN ('pending', 'processing', 'authorized', 'rejected', 'denied', 'cancelled'));
CREATE DOMAIN fiscal_environment AS text CHECK (VALUE IN ('homologacao', 'producao'));
CREATE DOMAIN chave AS text CHECK (VALUE ~ '^[0-9]{6}[0-9A-Z]{12}[0-9]{26}$');
-- The ground of a return: the goods came back, or only their money was refunded.
CREATE DOMAIN return_ground AS text CHECK (VALUE IN ('goods', 'money'));
CREATE TABLE invoices (
    id               uuid PRIMARY KEY,          -- without dashes, the provider's reference
    order_id         uuid NOT NULL REFERENCES orders,
    purpose          invoice_purpose NOT NULL DEFAULT 'sale',
    sale_id          uuid REFERENCES invoices,  -- what a return gives back
    refund_id        uuid REFERENCES refunds,   -- NULL: the whole sale, whose invoice could not be cancelled in time
    ground           return_ground,             -- of a return
    lines            jsonb,                     -- how many of which lines: of a return, and of a sale once it may have been sent
    line_discounts   bigint[],                  -- beside `lines`, so that all returns together are the sale's to the centavo
    freight_cents    cents,
    provider         text NOT NULL,
    environment      fiscal_environment NOT NULL,
    status           invoice_status NOT NULL DEFAULT 'pending',
    issued_at        timestamptz NOT NULL DEFAULT now(), -- its date of emission; a rejected one gets a new one
    sent_at          timestamptz,               -- the first try that may have reached the provider
    doubted_at       timestamptz,               -- the provider said that it has none. Its reads may be behind its writes: only
                                                -- the same answer again some seconds later counts
    chave            chave UNIQUE,
    number           text,
    series           text,
    total_cents      cents NOT NULL,
    code             text,                      -- the tax authority's
    message          text,                      -- why it was rejected
    problems         jsonb,                     -- what is wrong by our own checks, per field
    buyer_ibge_city  ibge_city, -- given by the shop if the CEP does not determine it
    cancel_reason    text,                      -- NULL: nobody asked for its cancellation
    cancel_refused   text,
    given_up         boolean NOT NULL DEFAULT false, -- by the shop itself, because its sale was off; if the sale is on again, another one follows
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
    told_at          timestamptz,               -- the operator was alerted that it is rejected or denied
    CONSTRAINT invoices_sale CHECK ((purpose = 'return') = (sale_id IS NOT NULL)),
    CONSTRAINT invoices_authorized CHECK (status <> 'authorized' OR (chave IS NOT NULL AND authorized_at IS NOT NULL)),
    CONSTRAINT invoices_xml CHECK ((xml IS NULL) = (xml_sha256 IS NULL))
);
-- One live invoice of a sale per order. After one was denied or cancelled, another may follow.
CREATE UNIQUE INDEX invoices_one_sale ON invoices (order_id) WHERE purpose = 'sale' AND status NOT IN ('denied', 'cancelled');
-- A refund may have several return invoices, or none. Sums under the order's lock prevent duplicates.
CREATE INDEX invoices_returns ON invoices (sale_id) WHERE purpose = 'return';
CREATE INDEX invoices_order ON invoices (order_id);
CREATE INDEX invoices_open ON invoices (updated_at) WHERE status IN ('pending', 'processing');
CREATE INDEX invoices_to_mend ON invoices (id) WHERE status IN ('rejected', 'denied');
-- What the accountant gets of a month.
CREATE INDEX invoices_issued ON invoices (issued_at) WHERE chave IS NOT NULL;
CREATE INDEX invoices_cancelled ON invoices (cancelled_at) WHERE chave IS NOT NULL AND cancelled_at IS NOT NULL;
CREATE INDEX invoices_kept ON invoices (authorized_at) WHERE xml IS NOT NULL;

-- Cartas de correção: at most 20 per invoice, the last one replaces all before it.
CREATE DOMAIN correction_sequence AS smallint CHECK (VALUE BETWEEN 1 AND 20);
CREATE DOMAIN correction_text AS text CHECK (length(VALUE) BETWEEN 15 AND 1000);
CREATE DOMAIN correction_status AS text CHECK (VALUE IN ('pending', 'accepted', 'refused'));
CREATE TABLE invoice_corrections (
    id         uuid PRIMARY KEY,
    invoice_id uuid NOT NULL REFERENCES invoices,
    sequence   correction_sequence NOT NULL,
    text       correction_text NOT NULL,
    status     correction_status NOT NULL DEFAULT 'pending',
    message    text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    UNIQUE (invoice_id, sequence)
);
CREATE UNIQUE INDEX invoice_corrections_one_open ON invoice_corrections (invoice_id) WHERE status = 'pending';
