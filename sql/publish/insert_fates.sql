-- Guarantees: every staged clean row has exactly one fate. A key that stands under another region, or that two regions
-- bring and none owns, is `cross_region`. Newer wins: updated_at, then the snapshot that read it. A sale marked as
-- deleted gives way to any version that was read later: the source has it again. Attributes that were not read make no
-- difference.
INSERT INTO ${fates_table} (REGION, SALE_ID, FATE)
SELECT
    STAGED.REGION,
    STAGED.SALE_ID,
    CASE
        WHEN FACT.REGION <> STAGED.REGION THEN 'cross_region'
        WHEN FACT.SALE_ID IS NULL AND STAGED.REGIONS > 1 THEN 'cross_region'
        WHEN FACT.SALE_ID IS NULL THEN 'inserted'
        WHEN FACT.DELETED_AT IS NOT NULL AND FACT.ETL_SNAPSHOT_AT > SNAPSHOTS.SNAPSHOT_AT THEN 'superseded'
        WHEN FACT.DELETED_AT IS NOT NULL THEN 'updated'
        WHEN ${no_column_differs}${no_read_value_differs} THEN 'unchanged'
        WHEN FACT.UPDATED_AT > STAGED.UPDATED_AT THEN 'superseded'
        WHEN FACT.UPDATED_AT = STAGED.UPDATED_AT AND FACT.ETL_SNAPSHOT_AT > SNAPSHOTS.SNAPSHOT_AT THEN 'superseded'
        ELSE 'updated'
    END
FROM (
    SELECT *, COUNT(*) OVER (PARTITION BY SALE_ID) AS REGIONS
    FROM ${clean_table}
) AS STAGED
INNER JOIN (${snapshots}) AS SNAPSHOTS ON SNAPSHOTS.REGION = STAGED.REGION
LEFT JOIN ${standing_table} AS FACT ON FACT.SALE_ID = STAGED.SALE_ID
