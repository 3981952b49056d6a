-- Guarantees: the attempt's table holds the sales of the batch's keys as they stand, whatever their region, those of its
-- rejected rows' keys, and those that have a key of the batch in its other form, with the region's prefix or without it. All
-- keys of the fact table are read once, for the dates on which these sales stand; other columns only where such dates are.
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
