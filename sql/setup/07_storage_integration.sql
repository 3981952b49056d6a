-- Guarantees: Snowflake may read the staging bucket, and no other, by an AWS role, without keys. Needs the right to create
-- integrations, like ACCOUNTADMIN; runs only when a role is given.
-- Created once and altered: stages lose an integration that is recreated, and AWS would have to trust another id.
CREATE STORAGE INTEGRATION IF NOT EXISTS ${integration}
    TYPE = EXTERNAL_STAGE
    STORAGE_PROVIDER = 'S3'
    ENABLED = TRUE
    STORAGE_AWS_ROLE_ARN = ${aws_role_arn}
    STORAGE_ALLOWED_LOCATIONS = (${stage_url});

ALTER STORAGE INTEGRATION ${integration} SET
    STORAGE_AWS_ROLE_ARN = ${aws_role_arn}
    STORAGE_ALLOWED_LOCATIONS = (${stage_url});
