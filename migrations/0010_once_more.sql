-- A job that is pushed while its twin runs: that run may have read what was true before the push, so one more follows it.
ALTER TABLE jobs ADD COLUMN again boolean NOT NULL DEFAULT false;

-- An invoice that the shop gave up by itself, since its sale was off. Should the sale stand again, another one follows.
ALTER TABLE invoices ADD COLUMN given_up boolean NOT NULL DEFAULT false;
