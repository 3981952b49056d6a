"""`python -m benchmarks.history`: the time of a day over an empty table and over years of sales.

The same 4 x 50,000 rows are published and verified, reconciled, watched and rolled back over a fact table of 0, 10 and
40 million sales with random text keys, spread over two years. 3 % of the day's sales have an older version there, all
from the last days; a second measurement has a tenth of them from any day. A key join is one query for the day's keys in
the whole table. Medians of warm repeats, in one run.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

from sqlalchemy import create_engine

from benchmarks.work import DAY, Work, prepared
from blocks.register import storage_blocks, warehouse_blocks
from expectations.regions import REGIONS
from expectations.tables import CLEAN_COLUMNS
from expectations.thresholds import Thresholds
from flows.support.history import read_history
from tasks.alerts.published import read_unpublished
from tasks.batch import Batch, DateRange
from tasks.extract import Extracted, read_region
from tasks.pages.figures import read_weekday_sales
from tasks.pages.history_page import render_history_page
from tasks.publish import Staged, publish_manifest
from tasks.reconcile.compare import compare_region
from tasks.reconcile.days import days_of_regions
from tasks.rollback.roll_back import roll_back
from tasks.stage import Manifest, stage_files
from tasks.stopwatch import say_nothing
from tasks.transform import Transformed, transform_region
from tasks.verify import compare
from tasks.warehouse.ledger import known_states, start_attempt
from tasks.warehouse.second_look import refuse_differences
from tasks.warehouse.session import Session, open_session
from tasks.warehouse.statements import LOAD_TYPES, render
from tasks.watch.late_and_dead import read_leases

ROWS, MILLIONS, REPEATS = 50_000, (0, 10, 40), 3
DAYS_OF_HISTORY = 730
COPIES_AT_ONCE = 50
"""Days of history that one statement writes."""
OLD_SHARE, OLD_OF_ANY_DATE = 0.03, 0.1
CLOSED = 1_000_000
"""Rejected rows that are no longer open."""
SLA_MINUTES = 120
OF_HISTORY = -1
"""A run number that is not in the ledger."""
KEY = b"a key of benchmarks, long enough for all"
STEPS = (
    "publish and verify",
    "key join",
    "reconcile",
    "watchdog",
    "weekdays of a page",
    "history page",
    "status of a day",
    "rollback",
)
OLD_TOO = "with old corrections"
"""A publish and verify over corrections of sales of any date."""
_COLUMNS = [column.stored_name.upper() for column in CLEAN_COLUMNS]


def main() -> int:
    """Prints a table of seconds and their ratios."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.history", description=__doc__)
    parser.add_argument("--rows", type=int, default=ROWS, help="rows per region")
    parser.add_argument("--millions", type=int, nargs="+", default=MILLIONS, help="sales of history")
    parser.add_argument("--repeats", type=int, default=REPEATS)
    asked = parser.parse_args()
    with prepared(asked.rows, for_peers=False) as work, tempfile.TemporaryDirectory() as scratch:
        bench = History(work, Path(scratch))
        seconds = {size: bench.measure(size, asked.repeats) for size in asked.millions}
        print_table(seconds)
        if bench.size:
            bench.measure_rejected(asked.repeats)
    return 0


def print_table(seconds: Mapping[int, Mapping[str, float]]) -> None:
    """Prints a line for each step: seconds over each size, and the ratio of the last to the first."""
    print(f"{'seconds over':24s}" + "".join(f"{size:>8d} M" for size in seconds) + "    ratio")
    first, last = min(seconds), max(seconds)
    for step in (OLD_TOO, *STEPS):
        cells = "".join(f"{of[step]:10.1f}" for of in seconds.values())
        print(f"{step:24s}{cells}{seconds[last][step] / seconds[first][step]:9.1f}")


class History:
    """The day's rows, read and cleaned once, and a warehouse with a growing history."""

    def __init__(self, work: Work, scratch: Path) -> None:
        self.work, self.scratch = work, scratch
        _, self.connector = warehouse_blocks(work.environment)
        _, self.bucket = storage_blocks(work.environment)
        self.extracts: list[Extracted] = []
        self.transformed: list[Transformed] = []
        for region in REGIONS:
            engine = self.engine(region)
            window = Batch(DAY, (region,)).window
            self.extracts.append(read_region(engine, region, window, scratch, KEY, {}, say_nothing))
            engine.dispose()
            self.transformed.append(transform_region(self.extracts[-1], scratch))
        self.size = 0

    def engine(self, region: str) -> Any:
        url = self.work.environment[f"PG_{region}_URL"]
        return create_engine(url.replace("postgresql://", "postgresql+psycopg2://"))

    @contextmanager
    def session(self) -> Iterator[Session]:
        with open_session(self.connector, self.work.environment["SNOWFLAKE_WAREHOUSE"], "benchmark") as session:
            yield session

    def measure(self, millions: int, repeats: int) -> dict[str, float]:
        """Returns the median of each step over `millions` million sales; a first round is not counted."""
        self.grow(millions)
        rounds = [self.one_round() for _ in range(repeats + 1)][1:]
        found = {step: median(of[step] for of in rounds) for step in STEPS}
        if millions:
            self.write_corrections(of_any_date=True)
        found[OLD_TOO] = median([self.one_round()["publish and verify"] for _ in range(repeats + 1)][1:])
        print(f"{millions} M: " + ", ".join(f"{step} {seconds:.1f} s" for step, seconds in found.items()), flush=True)
        return found

    def measure_rejected(self, repeats: int) -> None:
        """Prints the time to list the open rejected rows, with a million closed ones."""
        rejected = (
            "SELECT REGION, SALE_ID, UPDATED_AT FROM ANALYTICS.SALES_FACT "
            f"WHERE ETL_BATCH_ID = 'history' LIMIT {CLOSED:d}"
        )
        with self.session() as session:
            session.query(
                "INSERT INTO ANALYTICS.SALES_REJECTIONS (REGION_CODE, SALE_KEY, RULES, VERSION_AT, ETL_BATCH_ID, "
                "ETL_RUN_NUMBER, ETL_SNAPSHOT_AT, FIRST_SEEN_AT) SELECT REGION, SALE_ID, 'quantity_not_positive', "
                f"UPDATED_AT, 'history', {OF_HISTORY}, UPDATED_AT, UPDATED_AT FROM ({rejected}) AS REJECTED"
            )
            session.query(
                "INSERT INTO ANALYTICS.SALES_REJECTION_CLOSINGS (REJECTED_BY_RUN_NUMBER, REGION_CODE, SALE_KEY, "
                "VERSION_AT, STATUS, CLOSED_AT, CLOSED_BY_RUN_NUMBER, COVERED_BY_RUN_NUMBER) "
                "SELECT ETL_RUN_NUMBER, REGION_CODE, SALE_KEY, VERSION_AT, 'CLOSED', CURRENT_TIMESTAMP(), "
                f"{OF_HISTORY}, {OF_HISTORY} FROM ANALYTICS.SALES_REJECTIONS WHERE ETL_RUN_NUMBER = {OF_HISTORY}"
            )
            open_rows = render("rejected/open_rows")
            seconds = [timed(lambda: session.query(open_rows)) for _ in range(repeats + 1)][1:]
        print(f"open rejected rows, over {CLOSED:,} closed ones: {median(seconds):.1f} s")

    def one_round(self) -> dict[str, float]:
        staged = self.stage()
        return {
            "publish and verify": timed(lambda: self.publish(staged)),
            "key join": timed(lambda: self.join_keys(staged.attempt.run_number)),
            "reconcile": timed(self.reconcile),
            "watchdog": timed(self.watch),
            "weekdays of a page": timed(self.read_weekdays),
            "history page": timed(self.make_history_page),
            "status of a day": timed(self.read_status),
            "rollback": timed(self.roll_back),
        }

    def stage(self) -> Staged:
        with self.session() as session:
            attempt = start_attempt(session, Batch(DAY, tuple(REGIONS)), str(uuid4()), lease_minutes=15)
        files = [
            file
            for of_region in self.transformed
            for file in stage_files(of_region, ("clean", "rejected"), attempt.staging_prefix, self.scratch, self.bucket)
        ]
        manifest = Manifest(attempt, {e.region: e.snapshot_at for e in self.extracts}, tuple(files))
        return Staged(manifest, self.extracts, self.transformed, (), Thresholds(max_rejected_percentage=Decimal(100)))

    def publish(self, staged: Staged) -> None:
        with self.session() as session:
            publication = publish_manifest(session, staged, self.session, say_nothing)
            verification = compare(session, staged.manifest, publication)
        refuse_differences(verification.comparisons, verification.repeated_keys)

    def join_keys(self, run_number: int) -> None:
        """Counts the keys that the run has written, in the whole table."""
        keys = f"SELECT SALE_ID FROM ANALYTICS.SALES_FACT WHERE ETL_RUN_NUMBER = {run_number:d}"
        with self.session() as session:
            session.query(f"SELECT COUNT(*) FROM ANALYTICS.SALES_FACT WHERE SALE_ID IN ({keys})")

    def reconcile(self) -> None:
        """Reconciles the day, which has no differences."""
        with self.session() as session:
            known = known_states(session, None, DAY)
            for days in days_of_regions(known, DateRange(DAY, DAY), list(REGIONS)):
                engine = self.engine(days.region)
                compare_region(engine, session, days)
                engine.dispose()

    def watch(self) -> None:
        with self.session() as session:
            read_leases(session)
            read_unpublished(session, [DAY - timedelta(days=back) for back in range(7)])

    def read_weekdays(self) -> None:
        """Reads the figures of a run page's charts."""
        with self.session() as session:
            read_weekday_sales(session, DAY)

    def make_history_page(self) -> None:
        """Reads and renders the history of a year, with sales of its last 118 days."""
        with self.session() as session:
            render_history_page(read_history(session, SLA_MINUTES, ()))

    def read_status(self) -> None:
        """Asks, as an analyst does, whether the day is complete."""
        with self.session() as session:
            session.query(
                "SELECT REGION, IS_COMPLETE, STATE, LAST_CHANGED_AT FROM ANALYTICS.DATA_STATUS "
                f"WHERE UTC_DATE = '{DAY - timedelta(days=1)}'"
            )

    def roll_back(self) -> None:
        with self.session() as session:
            roll_back(session, f"{DAY:%Y%m%d}", "a benchmark", False, 35, str(uuid4()))

    # The past

    def grow(self, millions: int) -> None:
        """Adds older sales up to `millions` million: the day's own with other keys, day by day."""
        if millions == 0:
            return
        with self.session() as session:
            if self.size == 0:
                self.write_first_history(session)
            per_day = self.work.rows * len(REGIONS)
            copies = range(self.size * 1_000_000 // per_day, millions * 1_000_000 // per_day)
            for start in range(copies.start, copies.stop, COPIES_AT_ONCE):
                self.write_copies(session, range(start, min(start + COPIES_AT_ONCE, copies.stop)), copies.stop)
        self.write_corrections(of_any_date=False)
        with self.session() as session:
            ((rows,),) = session.query("SELECT COUNT(*) FROM ANALYTICS.SALES_FACT")
        self.size = millions
        print(f"the table holds {rows:,} sales", flush=True)

    def write_first_history(self, session: Session) -> None:
        """Writes the rows that are copied, and the ledger of two years."""
        staged = self.stage()
        self.publish(staged)
        session.query("CREATE TABLE STAGING.HISTORY AS SELECT * FROM ANALYTICS.SALES_FACT")
        self.roll_back()
        session.query(
            "INSERT INTO ANALYTICS.ETL_BATCHES (BATCH_ID, REGION, RUN_NUMBER, FLOW_RUN_ID, STATUS, RECORDED_AT, "
            "CONTRACT_VERSION, SNAPSHOT_AT, EXTRACTED) "
            f"SELECT TO_VARCHAR(DATEADD('day', -DAYS.N, '{DAY}'::DATE), 'YYYYMMDD'), REGIONS.REGION, 0, 'history', "
            "STATES.STATUS, CURRENT_TIMESTAMP(), '1', CURRENT_TIMESTAMP(), 50000 "
            f"FROM ({numbers(range(1, DAYS_OF_HISTORY + 1))}) AS DAYS "
            f"CROSS JOIN ({' UNION ALL '.join(f'''SELECT '{code}' AS REGION''' for code in REGIONS)}) AS REGIONS "
            "CROSS JOIN (SELECT 'STARTED' AS STATUS UNION ALL SELECT 'PUBLISHED') AS STATES"
        )

    def write_corrections(self, of_any_date: bool) -> None:
        """Replaces some of the day's sales in the table with older versions, chosen by MD5."""
        dealt, recent = "MD5_NUMBER_LOWER64(SALE_ID)", "MOD(MD5_NUMBER_LOWER64(SALE_ID), 3)"
        any_date = f"MOD({dealt}, 1000) < {1000 * OLD_SHARE * OLD_OF_ANY_DATE:.0f}"
        back = f"CASE WHEN {any_date} THEN MOD({dealt}, {DAYS_OF_HISTORY}) ELSE {recent} END" if of_any_date else recent
        chosen = f"STAGING.HISTORY WHERE MOD({dealt}, 1000) < {1000 * OLD_SHARE:.0f}"
        with self.session() as session:
            session.query(f"DELETE FROM ANALYTICS.SALES_FACT WHERE SALE_ID IN (SELECT SALE_ID FROM {chosen})")
            self.insert(session, "SALE_ID", f"{back} + 1", "TOTAL_AMOUNT - 0.01", chosen)

    def write_copies(self, session: Session, copies: Sequence[int], of: int) -> None:
        back = f"{DAYS_OF_HISTORY} - FLOOR(COPIES.N * {DAYS_OF_HISTORY} / {of})"
        self.insert(
            session,
            "MD5(SALE_ID || '-' || COPIES.N)",
            back,
            "TOTAL_AMOUNT",
            f"STAGING.HISTORY CROSS JOIN ({numbers(copies)}) AS COPIES",
        )

    def insert(self, session: Session, key: str, back: str, amount: str, source: str) -> None:
        """Inserts sales as an earlier run would have left them, `back` days older."""
        made = {
            "SALE_ID": key,
            "SALE_DATE": f"DATEADD('day', -({back}), SALE_DATE)",
            "UPDATED_AT": f"DATEADD('day', -({back}), UPDATED_AT)",
            "TOTAL_AMOUNT": amount,
            "ETL_RUN_NUMBER": "0",
            "ETL_FIRST_RUN_NUMBER": "0",
            "ETL_BATCH_ID": "'history'",
        }
        names = [*_COLUMNS, *LOAD_TYPES]
        values = ", ".join(made.get(name, name) for name in names)
        session.query(f"INSERT INTO ANALYTICS.SALES_FACT ({', '.join(names)}) SELECT {values} FROM {source}")


def numbers(of: Sequence[int]) -> str:
    """A subquery with the column N."""
    return " UNION ALL ".join(f"SELECT {n} AS N" for n in of)


def timed(step: Callable[[], object]) -> float:
    """Returns the seconds that the step took."""
    start = time.perf_counter()
    step()
    return time.perf_counter() - start


if __name__ == "__main__":
    sys.exit(main())
