-- Goods that come back, in any number of calls: what was written off, and what stands on each invoice, so that all returns
-- together are the invoice of the sale to the centavo.

-- Pieces that are out of a sale and on no shelf: lost or spoilt. What went back on the shelf stands in stock_movements.
CREATE TABLE write_offs (
    id            bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    order_line_id uuid NOT NULL REFERENCES order_lines,
    quantity      quantity NOT NULL,
    cause         text NOT NULL,                -- request, job or webhook id
    actor         text NOT NULL,
    at            timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX write_offs_line ON write_offs (order_line_id);
CREATE TRIGGER write_offs_grow BEFORE UPDATE OR DELETE ON write_offs FOR EACH ROW EXECUTE FUNCTION only_grows();

-- Why a return gives goods back: they came back, or their money alone is back. The last release writes neither this nor amounts.
CREATE DOMAIN return_ground AS text CHECK (VALUE IN ('goods', 'money'));
ALTER TABLE invoices
    ADD COLUMN ground         return_ground,    -- of a return
    ADD COLUMN line_discounts bigint[],         -- beside `lines`, which a sale has from now on too, once it may have been sent
    ADD COLUMN freight_cents  cents,
    ADD COLUMN told_at        timestamptz;      -- the shop was told that it is rejected or denied
UPDATE invoices SET told_at = updated_at WHERE status IN ('rejected', 'denied'); -- by the last release, in the same transaction
-- One refund may be followed by several returns, and a return by none. Sums under the order's lock keep them from being doubled.
DROP INDEX invoices_one_return;
CREATE INDEX invoices_returns ON invoices (sale_id) WHERE purpose = 'return';
