"""The commands of docs/runbook.md, and where the tests run each of them."""

import re
from dataclasses import dataclass

from tasks.alerts.runbook import RUNBOOK_FILE

DEPLOYED = "deployed"
"""Needs deployments, or work pool and queues: run with a worker by the tests of those."""

LOCK = "lock"
"""Run by the same tests, against a transaction that holds a lock."""

ABORT = "SELECT SYSTEM$ABORT_TRANSACTION({})"

STACK = "stack"
"""Run by tests/integration/alerts/test_runbook_commands.py."""

_DAY = "prefect deployment run 'daily-sales/production' -p date=$DATE"
_ONLY = r'''-p "regions=[\"$REGION\"]"'''
_REPLAY = "prefect deployment run 'replay-rejected/production'"
_ROLLBACK = "prefect deployment run 'rollback/production' -p date=$DATE -p 'reason=test sales of the till'"
_RECONCILE = "prefect deployment run 'reconcile/production'"
_DAYS = "prefect deployment run 'backfill/production' -p start_date=2024-01-10 -p end_date=2024-01-14"

COVERED = {
    "export DATE=2024-01-15": STACK,
    "export REGION=EUROPE": STACK,
    "export RUN=00000000-0000-0000-0000-000000000000": STACK,
    "export VARIABLE=min_record_count": STACK,
    "export VALUE=40": STACK,
    "export COLUMN=loyalty_tier": STACK,
    "prefect flow-run logs $RUN": STACK,
    "prefect flow-run inspect $RUN": STACK,
    "prefect flow-run ls --limit 20": STACK,
    "prefect flow-run ls --flow-name send-alert --limit 5": STACK,
    "prefect flow-run ls --flow-name watchdog --limit 5": STACK,
    "prefect flow-run cancel $RUN": DEPLOYED,
    "prefect variable ls": STACK,
    "prefect variable delete alert_20240115_all_failed": STACK,
    "prefect automation ls": STACK,
    "prefect block ls": STACK,
    "prefect config view": STACK,
    "python -m blocks.register": STACK,
    'python -m blocks.variables $VARIABLE "$VALUE"': STACK,
    'python -m blocks.variables --for-now $VARIABLE "$VALUE"': STACK,
    "python -m blocks.variables --back $VARIABLE": STACK,
    r'''python -m blocks.variables --add closed_days "{\"$REGION\": [\"$DATE\"]}"''': STACK,
    r'''python -m blocks.variables --add extra_columns "{\"$COLUMN\": \"personal\"}"''': STACK,
    "python -m blocks.variables --remove extra_columns $COLUMN": STACK,
    'df -h "${TMPDIR:-/tmp}"': STACK,
    _DAY: DEPLOYED,
    f"{_DAY} {_ONLY}": DEPLOYED,
    f"{_DAY} --watch": DEPLOYED,
    f"{_DAYS} -p dry_run=true": DEPLOYED,
    _DAYS: DEPLOYED,
    "prefect deployment run 'backfill/production'": DEPLOYED,
    f"{_REPLAY} -p dry_run=true": DEPLOYED,
    _REPLAY: DEPLOYED,
    f"{_ROLLBACK} -p dry_run=true": DEPLOYED,
    _ROLLBACK: DEPLOYED,
    f"{_RECONCILE} -p dry_run=true": DEPLOYED,
    f"{_RECONCILE} -p start_date=2024-01-10 -p end_date=2024-01-14 -p dry_run=true": DEPLOYED,
    _RECONCILE: DEPLOYED,
    f"{_RECONCILE} -p heal_deleted=true": DEPLOYED,
    "prefect deployment run 'check-setup/production'": DEPLOYED,
    "prefect deployment run 'list-rejected/production'": DEPLOYED,
    "prefect deployment run 'clean-staging/production' -p dry_run=true": DEPLOYED,
    "prefect deployment run 'clean-staging/production'": DEPLOYED,
    "python -m blocks.variables undo_retention_days 35": STACK,
    "export PREFECT_API_DATABASE_CONNECTION_URL=postgresql+asyncpg://prefect:prefect@prefect-database/prefect": STACK,
    "python -m deployments.clean_prefect_database --dry-run": STACK,
    "python -m deployments.clean_prefect_database": STACK,
    "python -m flows.setup_warehouse --adopt-fact-table": STACK,
    "SELECT BATCH_ID, REGION, INSERTED FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID LIKE 'A%'": STACK,
    "prefect deployment run 'alert-drill/production'": DEPLOYED,
    "prefect deployment run 'send-alert/production' -p kind=failed -p flow_run_id=$RUN": DEPLOYED,
    "prefect deployment schedule ls 'daily-sales/production'": DEPLOYED,
    "prefect deployment schedule pause 'daily-sales/production' $SCHEDULE": DEPLOYED,
    "prefect deployment schedule resume 'daily-sales/production' $SCHEDULE": DEPLOYED,
    "prefect work-queue pause load --pool retail-sales": DEPLOYED,
    "prefect work-queue resume load --pool retail-sales": DEPLOYED,
    "prefect work-queue ls --pool retail-sales": DEPLOYED,
    "prefect work-pool inspect retail-sales": DEPLOYED,
    "make worker": DEPLOYED,
    "SELECT REGION, STATUS, RUN_NUMBER, RECORDED_AT, CAUSE FROM ANALYTICS.ETL_BATCHES "
    "WHERE BATCH_ID = '20240115' ORDER BY RECORDED_AT": STACK,
    "SELECT ORDINAL, RUN_NUMBER, RECORDED_AT FROM ANALYTICS.ETL_BATCHES "
    "WHERE BATCH_ID = '20240115' AND STATUS = 'PUBLISHED' ORDER BY ORDINAL": STACK,
    "SELECT REGION, STATUS, RUN_NUMBER FROM ANALYTICS.ETL_BATCHES_IN_PRODUCTION WHERE BATCH_ID = '20240115'": STACK,
    "SELECT REGION_CODE, RULES, COUNT(*) FROM ANALYTICS.SALES_REJECTED "
    "WHERE ETL_BATCH_ID = '20240115' GROUP BY REGION_CODE, RULES": STACK,
    "SELECT REGION_CODE, SALE_KEY, RULES, FIRST_SEEN_AT FROM ANALYTICS.SALES_REJECTED "
    "WHERE ETL_BATCH_ID = '20240115' AND STATUS IN ('OPEN', 'NO_KEY', 'STILL_BAD') ORDER BY FIRST_SEEN_AT": STACK,
    "SELECT REGION, SALE_ID, UPDATED_AT, DELETED_AT FROM ANALYTICS.SALES_FACT "
    "WHERE IS_DELETED ORDER BY DELETED_AT DESC": STACK,
    "SHOW LOCKS IN ACCOUNT": LOCK,
    "SHOW TRANSACTIONS IN ACCOUNT": LOCK,
    ABORT.format(1705302000000000000): LOCK,
}


@dataclass(frozen=True)
class Command:
    """A command of the runbook; `language` is sh or sql."""

    language: str
    text: str


def read_commands() -> list[Command]:
    """Returns every command in a fenced block, in the order of the page, each once."""
    blocks = re.findall(r"^```(\w*)\n(.*?)^```", RUNBOOK_FILE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    found = [Command(language, text) for language, block in blocks for text in _split(language, block)]
    return list(dict.fromkeys(found))


def _split(language: str, block: str) -> list[str]:
    if language == "sql":
        return [" ".join(statement.split()) for statement in block.split(";") if statement.strip()]
    return [line for line in block.replace("\\\n", "").splitlines() if line.strip()]
