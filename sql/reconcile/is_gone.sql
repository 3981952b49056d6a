-- Answers whether a sale that stands is one of the listed ones, which its source did not hold when it was read later than
-- the sale. They arrived on these days.
REGION = ${region}
AND DELETED_AT IS NULL
AND ETL_SNAPSHOT_AT <= ${snapshot_at}
AND (SALE_DATE >= ${since} AND SALE_DATE < ${until} OR UPDATED_AT >= ${since} AND UPDATED_AT < ${until})
AND SALE_ID IN (${listed_keys})
