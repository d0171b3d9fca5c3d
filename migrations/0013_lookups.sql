-- The minutely look at charges that ended without money reads those of the last two days.
CREATE INDEX payments_ended ON payments (updated_at) WHERE status IN ('expired', 'cancelled', 'failed');
-- Stripe may tell of a charge without naming its intent.
CREATE INDEX payments_charge ON payments (end_to_end_id) WHERE provider = 'stripe' AND end_to_end_id IS NOT NULL;
-- Whether the operator was told of something lately.
CREATE INDEX jobs_alerts ON jobs ((payload ->> 'subject')) WHERE kind = 'mail_alert';
