-- Guarantees: Snowflake may read the staging bucket by an AWS role, without keys. Needs ACCOUNTADMIN; runs only when a
-- role is given.
CREATE STORAGE INTEGRATION IF NOT EXISTS RETAIL_SALES_S3
    TYPE = EXTERNAL_STAGE
    STORAGE_PROVIDER = 'S3'
    ENABLED = TRUE
    STORAGE_AWS_ROLE_ARN = ${aws_role_arn}
    STORAGE_ALLOWED_LOCATIONS = (${stage_url});
