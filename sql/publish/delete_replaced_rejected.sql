-- Guarantees: of one batch and region only the newest run's open rejected rows remain, and one of each key after a replay.
DELETE FROM ANALYTICS.SALES_REJECTED
WHERE ${replaced}
