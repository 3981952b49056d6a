-- Guarantees: the attempt's table holds the sales that stand with the batch's keys in any region, with its rejected
-- rows' keys, and with its keys in their other form, with or without the region's prefix. All keys of the fact table
-- are read once, for the dates of these sales; other columns only on those dates.
INSERT INTO ${standing_table} (${fact_columns})
WITH FOUND AS (
    SELECT HELD.SALE_ID, HELD.SALE_DATE
    FROM ANALYTICS.SALES_FACT AS HELD
    INNER JOIN (${wanted_keys}) AS WANTED ON WANTED.SALE_ID = HELD.SALE_ID
)
SELECT ${all_fact_columns}
FROM ANALYTICS.SALES_FACT AS FACT
INNER JOIN (SELECT DISTINCT SALE_DATE FROM FOUND) AS DATES ON DATES.SALE_DATE = FACT.SALE_DATE
INNER JOIN (SELECT DISTINCT SALE_ID FROM FOUND) AS KEYS ON KEYS.SALE_ID = FACT.SALE_ID
