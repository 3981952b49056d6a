-- Lists the keys that matter to a batch: those of its sales, those of its rejected rows, and those of its sales in the
-- other form, with or without the region's prefix.
SELECT SALE_ID
FROM ${clean_table}
UNION
SELECT SALE_KEY
FROM ${rejected_table}
WHERE SALE_KEY IS NOT NULL
UNION
SELECT CASE
    WHEN STARTSWITH(SALE_ID, REGION || ':') THEN SUBSTR(SALE_ID, LENGTH(REGION) + 2)
    ELSE REGION || ':' || SALE_ID
END
FROM ${clean_table}
