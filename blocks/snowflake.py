"""The connector block of the warehouse: Prefect's own, plus a host."""

from pathlib import Path
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from prefect_snowflake import SnowflakeConnector
from pydantic.v1 import Field
from snowflake.connector import SnowflakeConnection


class UnusableKeyError(Exception):
    """Raised when the credentials' private key cannot be read or decrypted; names the file and what to do."""


class SnowflakeHostConnector(SnowflakeConnector):
    """Snowflake connection that can name a host: a private link, or a server for development.

    Example:
        Load a stored connector:
        ```python
        from blocks.snowflake import SnowflakeHostConnector

        connector = SnowflakeHostConnector.load("BLOCK_NAME")
        ```
    """

    _block_type_name = "Snowflake Host Connector"
    _block_type_slug = "snowflake-host-connector"
    _description = "Perform data operations against a Snowflake database at a named host."

    _connection: SnowflakeConnection | None = None

    host: str | None = Field(default=None, description="Host name; empty for the one that the account implies.")
    port: int | None = Field(default=None, description="TCP port; empty for 443.")
    protocol: str = Field(default="https", description="https; http only for a server on this machine.")

    def connect(self, **connect_kwargs: Any) -> SnowflakeConnection:
        """Opens a new connection to the block's database and schema; the caller closes it.

        Raises UnusableKeyError for a private key that cannot be read.
        """
        self._check_key()
        address = {"host": self.host, "port": self.port} if self.host else {}
        settings = {
            "database": self.database,
            "schema": self.schema_,
            "warehouse": self.warehouse,
            "protocol": self.protocol,
            # Otherwise every connection probes six addresses of cloud providers, and waits for their answers.
            "platform_detection_timeout_seconds": 0.0,
        }
        return self.credentials.get_client(**{**settings, **address, **connect_kwargs})

    def _check_key(self) -> None:
        path, secret = self.credentials.private_key_path, self.credentials.private_key_passphrase
        if path is None:
            return
        passphrase = secret.get_secret_value().encode() if secret else None
        try:
            load_pem_private_key(Path(path).read_bytes(), passphrase)
        except OSError as error:
            raise UnusableKeyError(f"private key {path} cannot be read: {error.strerror}") from None
        except (TypeError, ValueError, UnsupportedAlgorithm):
            how = "with this passphrase" if passphrase else "without a passphrase"
            raise UnusableKeyError(
                f"private key {path} cannot be opened {how}: give a key in PEM, with its passphrase where it has one "
                "(SNOWFLAKE_PRIVATE_KEY_PASSPHRASE), and register again"
            ) from None

    def get_connection(self, **connect_kwargs: Any) -> SnowflakeConnection:
        """Returns the block's own connection, opened at the first call."""
        if self._connection is None:
            self._connection = self.connect(**connect_kwargs)
        return self._connection
