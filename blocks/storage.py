"""Time limits for the S3 client, whatever its block says.

A request without an answer is given up after ANSWER_S_MAX and retried by its task, which logs it. The client itself
repeats a request whose answer asks for patience (SlowDown, 503).
"""

from typing import Any

from botocore.exceptions import ConnectTimeoutError, ReadTimeoutError
from prefect_aws import AwsCredentials

CONNECT_S_MAX = 5
"""Seconds that S3 may take to accept a connection."""
ANSWER_S_MAX = 20
"""Seconds that S3 may send, or take, nothing within a request."""
REQUESTS_MAX = 4
"""Attempts at a request whose answer asks for patience, including the first; about 4 seconds in all."""


def limited(credentials: AwsCredentials) -> AwsCredentials:
    """The credentials with time limits for their client; limits in the block take precedence."""
    own = credentials.aws_client_parameters
    limits = {
        "connect_timeout": CONNECT_S_MAX,
        "read_timeout": ANSWER_S_MAX,
        "retries": {"mode": "standard", "total_max_attempts": REQUESTS_MAX},
        "tcp_keepalive": True,
    }
    parameters = own.copy(update={"config": {**limits, **(own.config or {})}})
    bounded: AwsCredentials = credentials.copy(update={"aws_client_parameters": parameters})
    # The block caches its client: later calls return this one.
    bounded.get_s3_client().meta.events.register_first("needs-retry.s3", _give_up_on_silence, _give_up_on_silence)
    return bounded


def _give_up_on_silence(caught_exception: Exception | None = None, **_: Any) -> None:
    if isinstance(caught_exception, ConnectTimeoutError | ReadTimeoutError):
        raise caught_exception
