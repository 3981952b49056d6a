"""What the shell sets beside the blocks: drivers read it where a block says nothing, and some of it even where it does.

The block decides. What would overrule it is taken out of this process's environment, and named.
"""

import os
from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prefect_aws import AwsCredentials

LIBPQ = (
    *("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGPASSWORD", "PGPASSFILE", "PGREQUIREAUTH"),
    *("PGCHANNELBINDING", "PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGOPTIONS", "PGAPPNAME", "PGCONNECT_TIMEOUT"),
    *("PGSSLMODE", "PGREQUIRESSL", "PGSSLCOMPRESSION", "PGSSLNEGOTIATION", "PGSSLCERT", "PGSSLKEY", "PGSSLCERTMODE"),
    *("PGSSLROOTCERT", "PGSSLCRL", "PGSSLCRLDIR", "PGSSLSNI", "PGSSLMINPROTOCOLVERSION", "PGSSLMAXPROTOCOLVERSION"),
    *("PGREQUIREPEER", "PGGSSENCMODE", "PGKRBSRVNAME", "PGGSSLIB", "PGGSSDELEGATION", "PGTARGETSESSIONATTRS"),
    *("PGLOADBALANCEHOSTS", "PGMINPROTOCOLVERSION", "PGMAXPROTOCOLVERSION"),
    *("PGCLIENTENCODING", "PGDATESTYLE", "PGTZ", "PGGEQO"),
)
"""Read by libpq for whatever a connection's URL leaves out
(https://www.postgresql.org/docs/current/libpq-envars.html)."""
AWS = (
    *("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"),
    *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_CREDENTIAL_FILE"),
    *("AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI"),
    *("AWS_CONTAINER_CREDENTIALS_FULL_URI", "AWS_REGION", "AWS_DEFAULT_REGION"),
    *("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_USE_FIPS_ENDPOINT"),
    *("AWS_S3_DISABLE_EXPRESS_SESSION_AUTH", "AWS_RETRY_MODE", "AWS_MAX_ATTEMPTS", "BOTO_CONFIG"),
)
"""Read by botocore beside the keys of a block
(https://boto3.amazonaws.com/v1/documentation/api/latest/guide/configuration.html#using-environment-variables)."""
HERE = ("127.0.0.1", "localhost", "::1")
NO_PROXY = ("NO_PROXY", "no_proxy")

Environment = MutableMapping[str, str]


IGNORED: list[str] = []
"""What was taken out of this process's environment, for those who tell people."""


def ignore(names: Iterable[str], environment: Environment = os.environ) -> None:
    """Takes the variables out of the environment; IGNORED names those that were set."""
    IGNORED.extend(name for name in names if environment.pop(name, None) is not None)


def ignore_beside(credentials: "AwsCredentials", environment: Environment = os.environ) -> None:
    """Ignores what the shell says of AWS where the block has keys and says otherwise; without, the machine's own role
    is wanted."""
    key, secret = credentials.aws_access_key_id, credentials.aws_secret_access_key
    if key and secret:
        own = {
            "AWS_ACCESS_KEY_ID": key,
            "AWS_SECRET_ACCESS_KEY": secret.get_secret_value(),
            "AWS_DEFAULT_REGION": credentials.region_name,
        }
        ignore((name for name in AWS if name not in own or environment.get(name) != own[name]), environment)


def ignored() -> str:
    """What was ignored, in words; nothing when there is nothing."""
    return f"ignored from the shell, the blocks decide: {', '.join(sorted(set(IGNORED)))}" if IGNORED else ""


def keep_off_proxies(environment: Environment = os.environ) -> None:
    """Lets no proxy that the shell names come between this process and servers on this machine."""
    for name in NO_PROXY:
        named = [host for host in environment.get(name, "").split(",") if host.strip()]
        environment[name] = ",".join([*named, *(host for host in HERE if host not in named)])
