"""The names of the blocks; those of the regional databases stand in `expectations/regions.toml`."""

WAREHOUSE = "sales-warehouse"
WAREHOUSE_CREDENTIALS = "sales-warehouse"
WAREHOUSE_ADMIN = "sales-warehouse-admin"
STAGING_BUCKET = "sales-staging"
STAGING_CREDENTIALS = "sales-staging"
TOKEN_KEY = "sales-token-key"
ALERT_MAIL = "sales-alerts"
