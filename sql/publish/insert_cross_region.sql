-- Guarantees: rows whose key belongs to another region are kept among the rejected rows, cells as text.
INSERT INTO ${rejected_table} (REGION_CODE, SALE_KEY, RULES, VERSION_AT, ${rejected_source_columns})
SELECT STAGED.REGION, STAGED.SALE_ID, 'cross_region_sale_id', STAGED.UPDATED_AT, ${clean_columns_as_text}
FROM ${clean_table} AS STAGED
INNER JOIN ${fates_table} AS FATES ON FATES.REGION = STAGED.REGION AND FATES.SALE_ID = STAGED.SALE_ID
WHERE FATES.FATE = 'cross_region'
