-- Returns whether a sale is one of the listed ones, arrived on these days, is not marked yet, and was read no later
-- than its source was found without it.
REGION = ${region}
AND DELETED_AT IS NULL
AND ETL_SNAPSHOT_AT <= ${snapshot_at}
AND (SALE_DATE >= ${since} AND SALE_DATE < ${until} OR UPDATED_AT >= ${since} AND UPDATED_AT < ${until})
AND SALE_ID IN (${listed_keys})
