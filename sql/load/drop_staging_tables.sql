-- Guarantees: nothing of the attempt stays in STAGING.
DROP TABLE IF EXISTS ${clean_table};

DROP TABLE IF EXISTS ${rejected_table};

DROP TABLE IF EXISTS ${standing_table};

DROP TABLE IF EXISTS ${fates_table};
