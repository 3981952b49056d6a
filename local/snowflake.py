"""The Snowflake stand-in: fakesnow's server over DuckDB, its data on disk, patched where it differs from Snowflake.

What belongs here: the process, its requests and its data. Statements and errors are in `snowflake_dialect.py`,
transactions in `snowflake_sessions.py`. The product does not know about it.
"""

import asyncio
import gc
import gzip
import importlib
import json
import logging
import os
import secrets
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

import pyarrow.fs
import uvicorn
from fakesnow import info_schema, instance
from fakesnow.transforms import show
from snowflake.connector.errors import OperationalError, ProgrammingError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from local.environment import HOST, state_dir
from local.snowflake_dialect import LOCK_TIMEOUT_S, as_snowflake, patch_fakesnow
from local.snowflake_files import S3
from local.snowflake_profiles import profiled
from local.snowflake_sessions import IDLE_SESSION_S, Session, session_is_gone

server: Any = importlib.import_module("fakesnow.server")  # `from fakesnow import server` gives a function
RESPONSES_KEPT_MAX = 50
"""Responses kept by request id, for requests that a client repeats."""
IDLE_CHECK_EVERY_S_MAX = 60
UNAUTHORIZED = 401


class StandIn(instance.FakeSnow):
    """fakesnow with all data on disk: a file per database, one more for stages, file formats and comments."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        # A misspelt database or schema is an error, as in Snowflake.
        super().__init__(create_database_on_connect=False, create_schema_on_connect=False, db_path=directory)
        # An error that is found before a statement runs does not end the transaction.
        policy = "SET GLOBAL default_transaction_invalidation_policy = 'SYNTACTIC_ERRORS_DO_NOT_INVALIDATE'"
        self.duck_conn.execute(policy)
        self.duck_conn.execute("SET GLOBAL ieee_floating_point_ops = false")  # division by zero is an error
        # The rest of the machine is for the sources and the flow; what does not fit goes to disk.
        self.duck_conn.execute("SET GLOBAL memory_limit = '50%'")
        self.duck_conn.execute(f"SET GLOBAL temp_directory = '{directory / 'spilled'}'")
        # A COMMIT that finds this much log rewrites parts of the file, slower the larger it is; none does in Snowflake.
        self.duck_conn.execute("SET GLOBAL checkpoint_threshold = '1GB'")
        shared = directory / f"{instance.GLOBAL_DATABASE_NAME}.db"
        self.duck_conn.execute(f"DETACH {instance.GLOBAL_DATABASE_NAME}")
        self.duck_conn.execute(f"ATTACH '{shared}' AS {instance.GLOBAL_DATABASE_NAME}")
        self.duck_conn.execute(info_schema.fs_global_creation_sql())
        self.duck_conn.execute(show.fs_global_creation_sql())
        for file in directory.glob("*.db"):
            if file != shared:
                self.duck_conn.execute(f"ATTACH '{file}' AS {file.stem}")

    def connect(
        self,
        database: str | None = None,
        schema: str | None = None,
        nop_regexes: list[str] | None = None,
        **kwargs: Any,
    ) -> Session:
        return Session(
            profiled(self.duck_conn.cursor()),
            self.results_cache,
            database,
            schema,
            create_database=self.create_database_on_connect,
            create_schema=self.create_schema_on_connect,
            db_path=self.db_path,
            nop_regexes=nop_regexes,
            **kwargs,
        )


async def log_in(request: Request) -> Response:
    """Logs in as fakesnow does, and applies the session parameters that it does not know."""
    response = json.loads(bytes((await server.login_request(request)).body))
    token = response["data"]["token"]
    response["data"]["masterToken"] = token  # without one the connector does not end its session
    parameters = (await _body(request))["data"].get("SESSION_PARAMETERS", {})
    session: Session = server.sessions[token]
    session.lock_timeout_s = int(parameters.get("LOCK_TIMEOUT", LOCK_TIMEOUT_S))
    session.refuses_nondeterministic_update = (
        str(parameters.get("ERROR_ON_NONDETERMINISTIC_UPDATE", False)).upper() == "TRUE"
    )
    return JSONResponse(response)


async def end_session(request: Request) -> Response:
    """Ends a session as fakesnow does, and its transaction."""
    session = server.sessions.get(server.to_token(request))
    response: Response = await server.session(request)
    if session and request.query_params.get("delete"):
        await run_in_threadpool(session.close)
    return _known(response)


def refuse_unknown_session(_request: Request, _error: Exception) -> Response:
    return _failure(session_is_gone())


def end_idle_sessions() -> None:
    """Ends the sessions of lost clients, for ever."""
    while True:
        threading.Event().wait(min(IDLE_SESSION_S / 4, IDLE_CHECK_EVERY_S_MAX))
        for token, session in list(server.sessions.items()):
            if session.is_abandoned():
                server.sessions.pop(token, None)
                session.close()


class Queries:
    """Runs statements as fakesnow does, with two of Snowflake's habits.

    A repeated request gets the response of the first and does not run again. Every failure is returned as an error: at
    an HTTP 500 the connector would retry for minutes.
    """

    def __init__(self) -> None:
        self._responses: dict[str, asyncio.Task[Response]] = {}

    async def respond(self, request: Request) -> Response:
        request_id = request.query_params.get("requestId") or secrets.token_hex()
        if request_id not in self._responses:
            self._responses[request_id] = asyncio.create_task(self._run(request))
            for oldest in list(self._responses)[:-RESPONSES_KEPT_MAX]:
                if self._responses[oldest].done():
                    del self._responses[oldest]
        return await asyncio.shield(self._responses[request_id])

    async def _run(self, request: Request) -> Response:
        try:
            return _known(await server.query_request(request))
        except Exception as error:
            return _failure(as_snowflake(error))


def _known(response: Response) -> Response:
    """Returns a response that the connector understands in place of an HTTP error."""
    if response.status_code == UNAUTHORIZED:
        return _failure(session_is_gone())
    if response.status_code >= 500:
        return _failure(as_snowflake(RuntimeError("the stand-in failed: see its log")))
    return response


def _failure(error: ProgrammingError | OperationalError) -> Response:
    code = f"{error.errno:06d}"
    details = {"errorCode": code, "sqlState": error.sqlstate}
    return JSONResponse({"data": details, "code": code, "message": error.msg, "success": False})


async def _body(request: Request) -> Any:
    body = await request.body()
    return json.loads(gzip.decompress(body) if request.headers.get("Content-Encoding") == "gzip" else body)


def open_stand_in(directory: Path, s3_endpoint_url: str) -> StandIn:
    """Returns the stand-in with its saved data and access to the S3 stand-in."""
    stand_in = StandIn(directory)
    scheme, _, endpoint = s3_endpoint_url.partition("://")
    s3 = pyarrow.fs.S3FileSystem(
        access_key=os.environ["AWS_ACCESS_KEY_ID"],
        secret_key=os.environ["AWS_SECRET_ACCESS_KEY"],
        region=os.environ["AWS_DEFAULT_REGION"],
        endpoint_override=endpoint,
        scheme=scheme,
    )
    stand_in.duck_conn.register_filesystem(S3(s3))
    return stand_in


def provide(stand_in: StandIn, database: str, schema: str) -> None:
    """Creates what an administrator provides before the pipeline's own set-up: database and schema."""
    session = stand_in.connect()
    session.cursor().execute(f"CREATE DATABASE IF NOT EXISTS {database}")
    session.cursor().execute(f"CREATE SCHEMA IF NOT EXISTS {database}.{schema}")
    session.close()


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    logging.getLogger("fakesnow.server").setLevel(logging.WARNING)
    warnings.filterwarnings("ignore", message="Arrow output on a DB-API result")
    patch_fakesnow(server)
    gc.freeze()  # imports stay; collecting them again and again takes a twentieth of the time
    server.shared_fs = open_stand_in(state_dir() / "snowflake", os.environ["S3_ENDPOINT_URL"])
    provide(server.shared_fs, os.environ["SNOWFLAKE_DATABASE"], os.environ["SNOWFLAKE_SCHEMA"])
    patched = {
        "/session/v1/login-request": log_in,
        "/session": end_session,
        "/queries/v1/query-request": Queries().respond,
    }
    routes = [
        Route(route.path, patched.get(route.path, route.endpoint), methods=list(route.methods))
        for route in server.routes
    ]
    threading.Thread(target=end_idle_sessions, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())  # uvicorn raises it again at its end: run `finally`
    try:
        uvicorn.run(
            Starlette(routes=routes, exception_handlers={server.ServerError: refuse_unknown_session}),
            host=HOST,
            port=int(os.environ["SNOWFLAKE_PORT"]),
            log_level="warning",
            timeout_graceful_shutdown=5,
        )
    finally:
        for session in list(server.sessions.values()):
            session.close()  # DuckDB writes its log into the database when the last one closes
        server.shared_fs.duck_conn.close()


if __name__ == "__main__":
    main()
