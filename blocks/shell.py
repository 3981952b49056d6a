"""Variables of the shell that drivers read where a block leaves a setting open, and some even where it does not.

The block decides: variables that would override it are removed from this process's environment, and reported.
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
SPARK = ("SPARK_CONNECT_AUTHENTICATE_TOKEN",)
"""Read by the client of Spark Connect where an address has no token."""
HERE = ("127.0.0.1", "localhost", "::1")
NO_PROXY = ("NO_PROXY", "no_proxy")

Environment = MutableMapping[str, str]


_REMOVED: dict[str, str] = {}
"""The variables removed from this process's environment. Only their names are reported."""


def ignore(names: Iterable[str], environment: Environment = os.environ) -> None:
    """Removes the variables from the environment; `describe_ignored` names those that were set."""
    for name in names:
        if (value := environment.pop(name, None)) is not None:
            _REMOVED[name] = value


def ignore_beside(credentials: "AwsCredentials", environment: Environment = os.environ) -> None:
    """Ignores the `AWS_*` variables that differ from a block with keys. For a block without keys, which stands for the
    machine's role, nothing is ignored."""
    key, secret, region = credentials.aws_access_key_id, credentials.aws_secret_access_key, credentials.region_name
    if key and secret:
        own = {"AWS_ACCESS_KEY_ID": key, "AWS_SECRET_ACCESS_KEY": secret.get_secret_value()}
        own["AWS_DEFAULT_REGION"] = region or environment.get("AWS_DEFAULT_REGION", "")
        ignore((name for name in AWS if name not in own or environment.get(name) != own[name]), environment)


def describe_ignored() -> str:
    """Names the ignored variables in a sentence; empty when there are none."""
    return f"ignored from the shell, the blocks decide: {', '.join(sorted(_REMOVED))}" if _REMOVED else ""


def as_given(environment: Environment = os.environ) -> dict[str, str]:
    """The environment with the removed variables, for a process that removes them itself."""
    return {**environment, **_REMOVED}


def keep_off_proxies(environment: Environment = os.environ) -> None:
    """Exempts servers on this machine from the shell's proxies. Both spellings of NO_PROXY get the hosts of both, as
    programs read either."""
    named = [host.strip() for name in NO_PROXY for host in environment.get(name, "").split(",") if host.strip()]
    if "*" not in named:
        named += HERE
    for name in NO_PROXY:
        environment[name] = ",".join(dict.fromkeys(named)) if "*" not in named else "*"
