-- public.sales_transactions: the table that every regional database has. Safe to run again.
--
-- No primary key and no NOT NULL, on purpose: operational exports are dirty, and the pipeline has to cope with the
-- duplicates and NULLs that this table therefore accepts.
CREATE TABLE IF NOT EXISTS public.sales_transactions (
    sale_id          text,            -- business key, unique across all regions
    sale_date        timestamptz,     -- when the sale happened
    store_id         text,
    customer_id      text,
    customer_email   text,            -- personal data; NULL where the customer gave none
    product_id       text,
    product_category text,            -- NULL where the product has none
    quantity         integer,         -- units; millilitres for fuel
    unit_price       numeric(18, 6),  -- gross, of one unit; fuel is below a cent a millilitre
    discount_amount  numeric(12, 2),
    tax_amount       numeric(12, 2),  -- contained in what was paid
    total_amount     numeric(12, 2),  -- gross: before discount, tax included
    currency         text,            -- ISO 4217
    payment_method   text,
    region           text,            -- as people typed it: the spelling differs from store to store
    updated_at       timestamptz      -- when the row last changed
);

-- The pipeline's role may be created before or after the table, or not at all (a test's database).
DO $$
BEGIN
    IF EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = 'sales_reader') THEN
        GRANT SELECT ON public.sales_transactions TO sales_reader;
    END IF;
END
$$;

-- INDEXES
-- When many rows are loaded, everything below this line runs after them, which is faster.
-- The first two serve the window (sold or changed on the day), the third looks a sale up.
CREATE INDEX IF NOT EXISTS sales_transactions_sale_date_idx ON public.sales_transactions (sale_date);
CREATE INDEX IF NOT EXISTS sales_transactions_updated_at_idx ON public.sales_transactions (updated_at);
CREATE INDEX IF NOT EXISTS sales_transactions_sale_id_idx ON public.sales_transactions (sale_id);
