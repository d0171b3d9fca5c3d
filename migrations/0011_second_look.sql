-- An invoice that may have reached the provider, which says that it has none: a reading may be behind the writing. Only what is
-- heard twice, some seconds apart, counts.
ALTER TABLE invoices ADD COLUMN doubted_at timestamptz;
