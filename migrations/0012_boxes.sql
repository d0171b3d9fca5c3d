-- A label that the shop gave back by itself, since its sale was off. Should the sale stand again, another one follows: of
-- several boxes also where others of them were not to be given back.
ALTER TABLE shipments ADD COLUMN given_back boolean NOT NULL DEFAULT false;
