-- Lists what was rolled back of some regions and stays out: region and batch, and the key where it is one of a heal.
SELECT REGION, BATCH_ID, SALE_ID
FROM ANALYTICS.SALES_ROLLED_BACK
WHERE REGION IN (${regions})
