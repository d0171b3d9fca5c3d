-- The minutely look at charges that ended without money reads those of the last two days.
CREATE INDEX payments_ended ON payments (updated_at) WHERE status IN ('expired', 'cancelled', 'failed');
