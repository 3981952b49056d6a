-- Guarantees: warehouses, database, schemas and roles exist. Needs a role that may create them (SYSADMIN and
-- SECURITYADMIN).
CREATE WAREHOUSE IF NOT EXISTS ${warehouse}
    WAREHOUSE_SIZE = 'MEDIUM'
    AUTO_SUSPEND = 60
    AUTO_RESUME = TRUE
    INITIALLY_SUSPENDED = TRUE
    STATEMENT_TIMEOUT_IN_SECONDS = 3600
    COMMENT = 'Loads retail sales';

CREATE WAREHOUSE IF NOT EXISTS ${watch_warehouse}
    WAREHOUSE_SIZE = 'XSMALL'
    AUTO_SUSPEND = 60
    AUTO_RESUME = TRUE
    INITIALLY_SUSPENDED = TRUE
    STATEMENT_TIMEOUT_IN_SECONDS = 3600
    COMMENT = 'Watches the loads of retail sales';

CREATE DATABASE IF NOT EXISTS ${database};

CREATE SCHEMA IF NOT EXISTS ${database}.ANALYTICS;

CREATE SCHEMA IF NOT EXISTS ${database}.STAGING;

CREATE ROLE IF NOT EXISTS ${role} COMMENT = ${load_comment};

CREATE ROLE IF NOT EXISTS ${analyst_role} COMMENT = ${analyst_comment};
