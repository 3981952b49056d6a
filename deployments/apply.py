"""Applies this project to a Prefect server: `make deploy`, or `python -m deployments.apply`. Idempotent.

In this order, so that each thing finds what it refers to: blocks and variables, work pool and queues, deployments,
automations. One line per thing: created, updated, unchanged or removed. The server is that of PREFECT_API_URL. The last
line reports whether the loads find their tables in the warehouse; `--set-up-warehouse` creates them first. With
RETAIL_SALES_IMAGE, the image of this version is built and pushed before, and runs start from it.
"""

import argparse
import asyncio
import os
import sys
from datetime import timedelta

import httpx
from prefect import get_client
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_EXPERIMENTAL_EVENTS,
    PREFECT_EXPERIMENTAL_WARN,
    temporary_settings,
)

from blocks.project import version
from blocks.register import Environment, MissingSettingError, blocks_from, register, variables_from
from blocks.server import NoPrefectServerError, dashboard, without_password
from blocks.variables import BadVariableError, parse_variables, read_variables
from deployments.applied import Applied, DeployError
from deployments.automations import AlertLimits, apply_automations, planned_automations, read_ours
from deployments.deployed import apply_deployments
from deployments.image import built_image, named_image
from deployments.notification import Choice, find_block, notification_choice, save_choice
from deployments.planned import Deployment, planned_deployments
from deployments.pool import apply_pool, find_image_fault
from flows.setup_warehouse import find_setup_fault, setup_warehouse
from tasks.errors import TransientError, one_line
from tasks.stopwatch import Say

ANSWER_S_MAX = 10
"""Seconds in which the server has to answer when it is looked for."""


def apply(environment: Environment, say: Say, set_up: bool = False) -> None:
    """Applies everything and prints a line for each thing, after a check of environment and server. `set_up`: sets up
    the warehouse, too, as `flows.setup_warehouse --only-if-needed` does.

    Raises MissingSettingError, BadVariableError, NoPrefectServerError, DeployError, or TransientError of the warehouse.
    """
    blocks_from(environment)
    variables_from(environment)
    choice = notification_choice(environment)
    say(f"Prefect server {check_server()}")
    for line in register(environment):
        say(line)
    choice, saved = save_choice(choice)
    if saved:
        say(str(saved))
    if set_up:
        set_up_warehouse(say)
    limits = AlertLimits(sla=timedelta(minutes=parse_variables(read_variables())["sla_minutes"]))
    asyncio.run(_check_image(named_image(environment)))
    image = built_image(environment, say)
    asyncio.run(_apply_on_server(planned_deployments(version(), image), image, choice, limits, say))
    say(look_at_warehouse(say))


def set_up_warehouse(say: Say) -> None:
    """Creates the tables of the loads where they are missing. Raises DeployError when that fails."""
    if find_setup_fault(say):
        state = setup_warehouse(return_state=True)
        if not state.is_completed():
            raise DeployError(f"the warehouse is not set up: {one_line(state.message or state.name)}")
        say("warehouse tables: created")


def look_at_warehouse(say: Say) -> str:
    """Returns a line on whether the loads find their tables. A warehouse that does not answer fails no deployment."""
    try:
        fault = find_setup_fault(say)
    except TransientError as error:
        return f"warehouse tables: not checked ({one_line(error)})"
    return f"warehouse tables: not ready: {fault}" if fault else "warehouse tables: ready"


async def _check_image(image: str | None) -> None:
    async with get_client() as client:
        if fault := await find_image_fault(client, image):
            raise DeployError(fault)


async def _apply_on_server(
    planned: dict[str, Deployment], image: str | None, choice: Choice, limits: AlertLimits, say: Say
) -> None:
    # With Prefect's own patience: a request that is given up and sent again could create a thing twice.
    async with get_client() as client:
        block_id, reference = await find_block(client, choice, await read_ours(client))
        _say_all(await apply_pool(client), say)
        ids, applied = await apply_deployments(client, planned, image)
        _say_all(applied, say)
        say(f"notification by {reference}" + ("" if block_id else f": {NO_NOTIFICATION}"))
        automations = planned_automations(ids, block_id, dashboard(), limits)
        _say_all(await apply_automations(client, automations), say)


NO_NOTIFICATION = (
    "automations only mail, which needs a worker; set ALERT_SLACK_WEBHOOK_URL or ALERT_WEBHOOK_URL for more"
)


def _say_all(applied: list[Applied], say: Say) -> None:
    for thing in applied:
        say(str(thing))


def check_server() -> str:
    """Returns the API's address, without its password. Raises DeployError when none is set, or it does not answer or
    has no automations."""
    url = PREFECT_API_URL.value()
    if not url:
        raise DeployError("PREFECT_API_URL is not set: give it as http://<host>:4200/api, or run `make up` first")
    shown = without_password(url)
    asyncio.run(_check_server(shown))
    return shown


async def _check_server(url: str) -> None:
    try:
        async with get_client(httpx_settings={"timeout": ANSWER_S_MAX}) as client:
            await client.hello()
            await read_ours(client)
    except PrefectHTTPStatusError as error:
        raise DeployError(_refusal(url, error.response.status_code)) from None
    except (httpx.HTTPError, RuntimeError) as error:
        raise DeployError(
            f"no Prefect server answers at PREFECT_API_URL={url} ({type(error).__name__}): "
            "start it, or correct the address"
        ) from None


def _refusal(url: str, status: int) -> str:
    if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
        return f"the Prefect server at PREFECT_API_URL={url} refuses the key: set PREFECT_API_KEY"
    if status == httpx.codes.NOT_FOUND:
        return (
            f"the server at PREFECT_API_URL={url} knows no automations: is the address right (it ends in /api), "
            "and was the server started with PREFECT_EXPERIMENTAL_EVENTS=true?"
        )
    return f"the server at PREFECT_API_URL={url} answers with HTTP {status}: read its log"


def main() -> int:
    """Applies with this process's environment; an error is one line."""
    parser = argparse.ArgumentParser(prog="python -m deployments.apply", allow_abbrev=False)
    parser.add_argument("--set-up-warehouse", action="store_true", help="create the tables where they are missing")
    set_up = parser.parse_args().set_up_warehouse
    with temporary_settings(updates={PREFECT_EXPERIMENTAL_EVENTS: True, PREFECT_EXPERIMENTAL_WARN: False}):
        try:
            apply(os.environ, lambda line: print(line, flush=True), set_up)
        except (MissingSettingError, BadVariableError, NoPrefectServerError, DeployError, TransientError) as error:
            print(f"deploy: {error}", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
