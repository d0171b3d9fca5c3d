-- An attempt to be paid. The row is written before the provider is called, so that an unknown outcome is looked up later.
CREATE DOMAIN charge_status AS text CHECK (VALUE IN ('creating', 'unknown', 'pending', 'paid', 'failed', 'expired', 'cancelled',
    'surplus', 'partially_refunded', 'refunded', 'disputed', 'partially_charged_back', 'charged_back'));
CREATE TABLE payments (
    id             uuid PRIMARY KEY,            -- also the provider's idempotency key
    order_id       uuid NOT NULL REFERENCES orders,
    method         payment_method NOT NULL,
    provider       text NOT NULL,
    status         charge_status NOT NULL DEFAULT 'creating',
    amount_cents   positive_cents NOT NULL,
    captured_cents cents NOT NULL DEFAULT 0,
    refunded_cents cents NOT NULL DEFAULT 0,    -- went back or is on its way
    lost_cents     cents NOT NULL DEFAULT 0,    -- what disputes took, by the ledger; with refunds it may exceed what came
    is_surplus     boolean NOT NULL DEFAULT false, -- captured, but the order takes another payment or none: it is refunded
    currency       text NOT NULL DEFAULT 'BRL',
    method_discount_cents bigint NOT NULL DEFAULT 0, -- the method's discount, so that a late payment sets the price that it paid
    tries          integer NOT NULL DEFAULT 0,  -- calls to create it; part of the key where a provider stores its own failures
    provider_ref   text,                        -- txid, PaymentIntent
    end_to_end_id  text,
    copy_paste     text,
    qr_code_url    text,
    error          text,                        -- why it failed, for the operator
    expires_at     timestamptz NOT NULL,
    paid_at        timestamptz,
    checked_at     timestamptz,                 -- when the provider was last asked
    ended_unasked  boolean NOT NULL DEFAULT false, -- it ended here while its provider was not configured: the provider is asked once it is configured again
    created_at     timestamptz NOT NULL DEFAULT now(),
    updated_at     timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT payments_captured CHECK (refunded_cents <= captured_cents AND (paid_at IS NOT NULL) = (captured_cents > 0)
        AND (captured_cents = 0 OR status IN ('paid', 'surplus', 'partially_refunded', 'refunded', 'disputed', 'partially_charged_back',
                                              'charged_back')))
) WITH (autovacuum_vacuum_scale_factor = 0.05, autovacuum_analyze_scale_factor = 0.02); -- docs/decisions/0032
CREATE INDEX payments_order ON payments (order_id, id);
-- At most one live payment per order, and one that the order took. Any other money is a surplus and is refunded.
CREATE UNIQUE INDEX payments_one_live ON payments (order_id) WHERE status IN ('creating', 'unknown', 'pending');
CREATE UNIQUE INDEX payments_one_accepted ON payments (order_id) WHERE captured_cents > 0 AND NOT is_surplus;
CREATE INDEX payments_to_check ON payments (checked_at NULLS FIRST) WHERE status IN ('creating', 'unknown', 'pending');
CREATE UNIQUE INDEX payments_ref ON payments (provider, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX payments_paid ON payments (paid_at) WHERE paid_at IS NOT NULL; -- a day's money
-- For the recurring check of charges that ended without money in the last two days.
CREATE INDEX payments_ended ON payments (updated_at) WHERE status IN ('expired', 'cancelled', 'failed');
CREATE INDEX payments_unasked ON payments (provider) WHERE ended_unasked;
-- Events of Stripe about a charge may not name its intent, and a contested PIX has no other id.
CREATE INDEX payments_end_to_end ON payments (end_to_end_id) WHERE end_to_end_id IS NOT NULL;

CREATE DOMAIN refund_status AS text CHECK (VALUE IN ('pending', 'processing', 'unknown', 'waiting', 'done', 'failed'));
CREATE TABLE refunds (
    id           uuid PRIMARY KEY,
    key          uuid NOT NULL UNIQUE,          -- what the provider knows it by: its id, until that is used up there (refund_keys)
    payment_id   uuid NOT NULL REFERENCES payments,
    order_id     uuid NOT NULL REFERENCES orders,
    amount_cents positive_cents NOT NULL,
    status       refund_status NOT NULL DEFAULT 'pending',
    reason       text NOT NULL,
    restock      boolean NOT NULL DEFAULT false,
    requested_by text NOT NULL,
    tries        integer NOT NULL DEFAULT 0,    -- calls to make it under this key
    provider_ref text,
    error        text,
    waits_since   timestamptz,                  -- first refused for now: it is tried for days from then on
    in_hand_since timestamptz,                  -- the provider has had it in hand, or given no clear answer, since
    late_told_at  timestamptz,                  -- the operator was told that this takes long
    paid_otherwise_at timestamptz,              -- the provider did not make it, and the shop paid the buyer another way
    paid_otherwise_by text,                     -- admin:… who says so
    note         text,                          -- theirs
    created_at   timestamptz NOT NULL DEFAULT now(),
    updated_at   timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT refunds_waits CHECK (status <> 'waiting' OR waits_since IS NOT NULL),
    CONSTRAINT refunds_paid_otherwise CHECK (CASE num_nonnulls(paid_otherwise_at, paid_otherwise_by, note)
        WHEN 0 THEN true WHEN 3 THEN status = 'done' ELSE false END)
);
CREATE INDEX refunds_payment ON refunds (payment_id);
CREATE INDEX refunds_order ON refunds (order_id);
CREATE INDEX refunds_status ON refunds (status, id); -- the administrators' list
CREATE UNIQUE INDEX refunds_ref ON refunds (payment_id, provider_ref) WHERE provider_ref IS NOT NULL;
CREATE INDEX refunds_open ON refunds (updated_at) WHERE status IN ('pending', 'processing', 'unknown', 'waiting');

-- Earlier keys of refunds. Under such a key a refund failed at the provider, or none is known. Events about them are ignored, except that
-- the money went back after all.
CREATE TABLE refund_keys (
    key          uuid PRIMARY KEY,
    refund_id    uuid NOT NULL REFERENCES refunds,
    provider_ref text,
    left_at      timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX refund_keys_refund ON refund_keys (refund_id);

-- A contested payment: one row per dispute of a provider's, several per payment. An inquiry moves no money.
CREATE DOMAIN dispute_stage AS text CHECK (VALUE IN ('inquiry', 'contested'));
CREATE DOMAIN dispute_state AS text CHECK (VALUE IN ('open', 'under_review', 'unclear', 'won', 'lost', 'closed'));
CREATE TABLE disputes (
    id           uuid PRIMARY KEY,
    payment_id   uuid NOT NULL REFERENCES payments,
    order_id     uuid NOT NULL REFERENCES orders,
    provider     text NOT NULL,
    provider_ref text NOT NULL,                 -- the provider's name for it, which never changes
    stage        dispute_stage NOT NULL,
    state        dispute_state NOT NULL,
    amount_cents positive_cents,                -- NULL: the provider does not say, so it is about all that is left
    word         text NOT NULL DEFAULT '',      -- the provider's word for the state
    reason       text NOT NULL DEFAULT '',      -- in the provider's words
    due_by       timestamptz,                   -- until when evidence is taken
    evidence_ref text,                          -- where evidence goes, if it can be sent
    return_ref   text,                          -- the entry in the provider's list of refunds by which the money was taken
    note         text,                          -- of the administrator who settled it
    opened_at    timestamptz NOT NULL DEFAULT now(),
    moved_at     timestamptz NOT NULL DEFAULT clock_timestamp(), -- when stage or state last changed here
    closed_at    timestamptz,
    closed_by    text,                          -- provider:…, or admin:… who settled it by hand
    UNIQUE (provider, provider_ref),
    CONSTRAINT disputes_closed CHECK (num_nonnulls(closed_at, closed_by) = CASE WHEN state IN ('won', 'lost', 'closed') THEN 2 ELSE 0 END)
);
CREATE INDEX disputes_payment ON disputes (payment_id);
CREATE INDEX disputes_order ON disputes (order_id);
CREATE INDEX disputes_open ON disputes (moved_at) WHERE closed_at IS NULL; -- for the recurring looks at them
CREATE UNIQUE INDEX disputes_return ON disputes (payment_id, return_ref) WHERE return_ref IS NOT NULL; -- one entry takes money once

-- The ledger: money that really moved, as a provider confirmed it; of `refund_otherwise`, as an administrator says, beside the
-- provider's books.
CREATE DOMAIN money_kind AS text CHECK (VALUE IN ('capture', 'refund', 'refund_back', 'refund_otherwise', 'dispute_out', 'dispute_back'));
CREATE TABLE money_movements (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_id     uuid NOT NULL REFERENCES orders,
    payment_id   uuid NOT NULL REFERENCES payments,
    refund_id    uuid REFERENCES refunds,
    dispute_id   uuid REFERENCES disputes,
    dispute_step smallint,                      -- 1 took the money, 2 brought it back, 3 took it again …: each step once
    kind         money_kind NOT NULL,
    amount_cents positive_cents NOT NULL,
    provider     text NOT NULL,
    provider_ref text,                          -- endToEndId, charge, refund
    cause        text NOT NULL,
    at           timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT money_movements_of CHECK ((kind IN ('refund', 'refund_back', 'refund_otherwise')) = (refund_id IS NOT NULL)
        AND CASE WHEN kind IN ('dispute_out', 'dispute_back')
                 THEN num_nulls(dispute_id, dispute_step) = 0 AND (dispute_step % 2 = 1) = (kind = 'dispute_out')
                 ELSE num_nonnulls(dispute_id, dispute_step) = 0 END)
);
CREATE UNIQUE INDEX money_movements_one_capture ON money_movements (payment_id) WHERE kind = 'capture';
CREATE UNIQUE INDEX money_movements_one_refund ON money_movements (refund_id, kind) WHERE refund_id IS NOT NULL;
CREATE UNIQUE INDEX money_movements_one_step ON money_movements (dispute_id, dispute_step) WHERE dispute_id IS NOT NULL;
CREATE INDEX money_movements_order ON money_movements (order_id);
CREATE INDEX money_movements_back ON money_movements (at) WHERE kind <> 'capture'; -- a day's refunds and disputes
CREATE TRIGGER money_movements_grow BEFORE UPDATE OR DELETE ON money_movements FOR EACH ROW EXECUTE FUNCTION only_grows();

-- A day's money by our books and by the provider's. Comparing a day again replaces its row: the ledger has the history.
CREATE DOMAIN comparison AS text CHECK (VALUE IN ('agrees', 'differs', 'cannot_be_asked'));
CREATE TABLE reconciliations (
    day                   date NOT NULL,        -- the shop's: America/Sao_Paulo
    provider              text NOT NULL,
    status                comparison NOT NULL,
    ours_captured_count   integer NOT NULL,
    ours_captured_cents   bigint NOT NULL,
    theirs_captured_count integer,              -- theirs is NULL where they cannot be asked
    theirs_captured_cents bigint,
    ours_refunded_count   integer NOT NULL,
    ours_refunded_cents   bigint NOT NULL,
    theirs_refunded_count integer,
    theirs_refunded_cents bigint,
    difference_cents      bigint,               -- what the provider holds by its books, minus what it holds by ours
    differences           integer NOT NULL,
    lines                 jsonb NOT NULL,       -- the first differences
    made_at               timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (day, provider),
    CONSTRAINT reconciliations_differs CHECK ((status = 'differs') = (differences > 0)),
    CONSTRAINT reconciliations_theirs CHECK (
        num_nulls(theirs_captured_count, theirs_captured_cents, theirs_refunded_count, theirs_refunded_cents, difference_cents)
        = CASE status WHEN 'cannot_be_asked' THEN 5 ELSE 0 END)
);
