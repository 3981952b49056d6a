"""Publish: puts a staged batch into the fact table in ONE transaction or not at all, and finds out which."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from functools import partial

from prefect import get_run_logger, task

from blocks import names
from expectations.thresholds import Thresholds
from tasks.batch import Attempt, StagingTables
from tasks.errors import (
    NeedsPersonError,
    OutcomeUnknownError,
    SalesEtlError,
    TransientError,
)
from tasks.extract import Extracted
from tasks.law import (
    TALLIED_FATES,
    Fate,
    Published,
    Standing,
    ask_tables,
    check_law,
    check_ledger,
    count_standing,
    judge_rejected,
)
from tasks.lines import adding
from tasks.load import drop_staging_tables, load_files
from tasks.prefect_server.stopping import refuse_stopped
from tasks.quality import QualityCheck
from tasks.retries import ONCE
from tasks.rollback.rolled_back import refuse_held_back
from tasks.stage import Manifest
from tasks.stopwatch import Say, Stopwatch
from tasks.transform import Transformed
from tasks.warehouse.attributes import attribute_values
from tasks.warehouse.ledger import Entry, is_committed, record
from tasks.warehouse.lock import lock_held
from tasks.warehouse.session import OpenSession, Session, task_session
from tasks.warehouse.statements import key_lists, render, snapshots_query, subqueries_of
from tasks.warehouse.states import Status

MayCommit = Callable[[], None]
"""Called under the lock just before COMMIT; raises when the transaction must not be committed."""
PUBLISH_TRIES_MAX = 3
"""How often a publish tries to open its session, to load its files, and to commit its transaction, when the network, a
lock, a conflict or a lost answer ends a try."""
PUBLISH_RETRY_S_MAX = 1800
"""Seconds after the start of the first try in which another may start."""


def always() -> None:
    """Lets every transaction be committed."""


@dataclass(frozen=True)
class Publication:
    """How a publish ended. `refused` is the failed check when too many rows turned out to be rejected: then nothing
    was published. `overtaken` regions were left alone, because a newer run had published them."""

    regions: tuple[Published, ...]
    overtaken: tuple[str, ...]
    refused: QualityCheck | None
    seconds_load: float
    seconds_publish: float


@dataclass(frozen=True)
class Staged:
    """Everything that a publish needs of a batch. `left_out` are the entries of regions without rows, `gone` the
    `sale_id`s, per region, of rejected rows that a replay has looked for in vain. Regions that are `closed` have no
    limit of rejected rows."""

    manifest: Manifest
    extracts: Sequence[Extracted]
    transformed: Sequence[Transformed]
    left_out: Sequence[Entry]
    thresholds: Thresholds
    gone: Mapping[str, Sequence[str]] = field(default_factory=dict)
    closed: Collection[str] = ()

    @property
    def attempt(self) -> Attempt:
        return self.manifest.attempt


def publish_manifest(
    session: Session, staged: Staged, open_again: OpenSession, say: Say, may_commit: MayCommit = always
) -> Publication:
    """Loads the files, then publishes them in one transaction together with the ledger's entries.

    When `session` is lost, the publish goes on in another one from `open_again`; `say` gets the lines about waits and
    tries, and `may_commit` raises when the run was cancelled meanwhile. Raises PublishRefusedError when the law does
    not hold, TransientError or NeedsPersonError for other causes: nothing was published then, and the staging tables
    are dropped. Raises OutcomeUnknownError when the outcome cannot be found out.
    """
    watch, tables = Stopwatch(), staged.attempt.staging_tables
    with ExitStack() as closing:
        sessions = [session]
        with _dropped_on_failure(sessions, staged.attempt):
            load_until_done(sessions, staged.manifest, lambda: closing.enter_context(open_again()), say)
            publication = publish_until_known(sessions[-1], staged, watch.seconds(), open_again, say, may_commit)
            if publication.refused:
                drop_staging_tables(sessions[-1], tables)
            return publication


@contextmanager
def opened(open_again: OpenSession, say: Say) -> Iterator[Session]:
    """A session of the warehouse, opened after several tries if need be. Raises TransientError after the last one."""
    with ExitStack() as closing:
        for number, watch in _tries():
            try:
                session = closing.enter_context(open_again())
                break
            except TransientError as error:
                _refuse_another(error, number, watch)
                say(f"step=publish session, try {number} of {PUBLISH_TRIES_MAX}: {error}; another one is opened")
        yield session


def load_until_done(sessions: list[Session], manifest: Manifest, open_another: Callable[[], Session], say: Say) -> None:
    """Loads the files in the last of `sessions`; when that is lost, in another one, which is added to them.

    Each try begins with empty tables: those of the try before are dropped, and a COPY that is still under way ends with
    its table. Should it load into the new one, the rows differ from the manifest, and the law that is checked before
    COMMIT does not hold. Raises as `load_files` does.
    """
    tables = manifest.attempt.staging_tables
    for number, watch in _tries():
        try:
            if number > 1:
                sessions.append(open_another())
                drop_staging_tables(sessions[-1], tables)
            load_files(sessions[-1], manifest, tables)
            break
        except TransientError as error:
            _refuse_another(error, number, watch)
            say(f"step=load try {number} of {PUBLISH_TRIES_MAX}: {error}; the files are loaded again")


def _tries() -> Iterator[tuple[int, Stopwatch]]:
    watch = Stopwatch()
    yield from ((number, watch) for number in range(1, PUBLISH_TRIES_MAX + 1))


def _may_try_again(number: int, watch: Stopwatch) -> bool:
    return number < PUBLISH_TRIES_MAX and watch.seconds() < PUBLISH_RETRY_S_MAX


def _refuse_another(error: SalesEtlError, number: int, watch: Stopwatch) -> None:
    """Raises the error of the last try."""
    if not _may_try_again(number, watch):
        raise error


@contextmanager
def _dropped_on_failure(sessions: Sequence[Session], attempt: Attempt) -> Iterator[None]:
    try:
        yield
    except (TransientError, NeedsPersonError) as error:
        with suppress(SalesEtlError):
            drop_staging_tables(sessions[-1], attempt.staging_tables)
        again = "run the date again" if attempt.batch_id.isdigit() else "run the flow again"
        raise type(error)(adding(f"nothing was published: {error}", again)) from error


class _TooManyRejectedError(Exception):
    """Leaves the transaction, which is rolled back; a result, not a failure."""

    def __init__(self, check: QualityCheck) -> None:
        super().__init__(check.message)
        self.check = check


def publish_until_known(
    session: Session,
    staged: Staged,
    seconds_load: float,
    open_again: OpenSession,
    say: Say,
    may_commit: MayCommit = always,
) -> Publication:
    """Begins transactions until the outcome of one is known; before another begins, the ledger is asked about the last.

    The lock comes first, so that a COMMIT that is still under way has ended when the ledger is read.
    """
    unsure = None
    for number, watch in _tries():
        publication = None
        try:
            with open_again() if number > 1 else nullcontext(session) as waiting:
                with lock_held(waiting, staged.attempt.run_number, say) as writing:
                    if unsure and is_committed(writing, staged.attempt.run_number):
                        return unsure
                    unsure = None
                    publication = _publish_locked(writing, staged, seconds_load)
                    may_commit()
                _find_in_ledger(waiting, staged.attempt.run_number)
            return publication
        except _TooManyRejectedError as error:
            return Publication((), (), error.check, seconds_load, watch.seconds())
        except SalesEtlError as error:
            if isinstance(error, OutcomeUnknownError):
                unsure = publication or unsure
            may_pass = isinstance(error, TransientError | OutcomeUnknownError)
            if may_pass and _may_try_again(number, watch):
                say(f"step=publish try {number} of {PUBLISH_TRIES_MAX}: {error}; the ledger is asked before the next")
                continue
            if unsure is None:
                raise
            raise OutcomeUnknownError(
                f"no answer to COMMIT: look for run {staged.attempt.run_number} in ANALYTICS.ETL_BATCHES before the "
                f"date is run again; {error}"
            ) from error
    raise AssertionError("the last try returns or raises")


def _find_in_ledger(session: Session, run_number: int) -> None:
    """Raises OutcomeUnknownError unless a session that is opened after COMMIT shows the run's entries."""
    try:
        with session.again() as asking:
            is_shown = is_committed(asking, run_number)
    except SalesEtlError as error:
        raise OutcomeUnknownError(f"COMMIT succeeded, but the ledger could not be read: {error}") from error
    if not is_shown:
        raise OutcomeUnknownError("COMMIT succeeded, but the ledger has no entry of the run")


def _publish_locked(session: Session, staged: Staged, seconds_load: float) -> Publication:
    """Does everything between the lock and COMMIT."""
    watch, attempt, tables = Stopwatch(), staged.attempt, staged.attempt.staging_tables
    if attempt.is_of_keys:
        refuse_held_back(session, tables, {of.region: of.rolled_back for of in staged.extracts})
    overtaken = _leave_out_overtaken(session, attempt, tables)
    alive = [region for region in staged.transformed if region.region not in overtaken]
    codes = [region.region for region in alive]
    regions: tuple[Published, ...] = ()
    if codes:
        before = _decide_fates(session, staged.manifest)
        _publish_rows(session, staged, codes)
        found = ask_tables(session, staged.manifest, codes)
        check_law(before, found, alive, staged.extracts)
        regions = found.published
    if refused := judge_rejected(regions, alive, staged.extracts, staged.thresholds, staged.closed):
        raise _TooManyRejectedError(refused)
    seconds = {"load": seconds_load, "publish": watch.seconds()}
    entries = _entries(regions, alive, staged.extracts, seconds)
    record(session, attempt, [*entries, *_overtaken_entries(overtaken), *staged.left_out])
    check_ledger(session, attempt, regions, alive, staged.extracts)
    return Publication(regions, overtaken, None, seconds_load, watch.seconds())


def _leave_out_overtaken(session: Session, attempt: Attempt, tables: StagingTables) -> tuple[str, ...]:
    newer = session.query(render("publish/overtaken"), [attempt.batch_id, attempt.run_number])
    overtaken = tuple(region for (region,) in newer if region in attempt.regions)
    for region in overtaken:
        for table, column in ((tables.clean_table, "REGION"), (tables.rejected_table, "REGION_CODE")):
            session.query(render("publish/leave_out_region", table=table, region_column=column), [region])
    return overtaken


def _names(manifest: Manifest) -> dict[str, str]:
    """The values of a batch that the statements need which decide fates and write."""
    snapshots = {"snapshots": snapshots_query(manifest.snapshots)}
    attempt = manifest.attempt
    tables = vars(attempt.staging_tables) | subqueries_of(attempt)
    return tables | snapshots | attribute_values(manifest.extra_columns)


def _decide_fates(session: Session, manifest: Manifest) -> Standing:
    """Decides the fates; returns the contents of the tables before the first write that readers will see."""
    names = _names(manifest)
    session.query(render("publish/insert_standing", **names))
    session.query(render("publish/insert_fates", **names))
    session.query(render("publish/insert_cross_region", **names))
    return count_standing(session, manifest)


def _publish_rows(session: Session, staged: Staged, regions: Sequence[str]) -> None:
    manifest, attempt = staged.manifest, staged.attempt
    names = _names(manifest)
    session.query(render("publish/insert_rejected", **names), [attempt.batch_id, attempt.run_number])
    session.query(render("publish/insert_undo", **names), [attempt.run_number, attempt.batch_id])
    names |= {"batch_id": attempt.batch_id, "run_number": f"{attempt.run_number:d}"}
    session.query(render("publish/merge_sales_fact", **names))
    session.query(render("publish/insert_new_sales", **names))
    if attempt.is_replay:
        session.query(render("publish/release_rejected", **names), [attempt.run_number, attempt.run_number])
        _mark_gone(session, staged, regions, names["snapshots"])
    session.query(render("publish/close_rejected", **names), [attempt.run_number, attempt.batch_id, attempt.run_number])


def _mark_gone(session: Session, staged: Staged, regions: Sequence[str], snapshots: str) -> None:
    run_number = staged.attempt.run_number
    for region in regions:
        for listed in key_lists(staged.gone.get(region, ())):
            session.query(render("publish/mark_gone", snapshots=snapshots), [run_number, region, listed])


def _entries(
    regions: Sequence[Published],
    alive: Sequence[Transformed],
    extracts: Sequence[Extracted],
    seconds: Mapping[str, float],
) -> list[Entry]:
    by_region = {extracted.region: extracted for extracted in extracts}
    return [
        Entry(
            region=published.region,
            status=Status.PUBLISHED,
            counts={
                "EXTRACTED": by_region[published.region].source.rows,
                "REJECTED": transformed.rejected.rows + published.of(Fate.CROSS_REGION).rows,
                "DUPLICATES": transformed.duplicates.rows,
                **{fate.upper(): published.of(fate).rows for fate in TALLIED_FATES},
            },
            money=by_region[published.region].source,
            cause=by_region[published.region].behind,
            snapshot_at=by_region[published.region].snapshot_at,
            seconds={
                "extract": by_region[published.region].seconds,
                "transform": transformed.seconds,
                **seconds,
            },
        )
        for published, transformed in zip(regions, alive, strict=True)
    ]


def _overtaken_entries(overtaken: Iterable[str]) -> list[Entry]:
    cause = "a newer run has published or rolled back this batch and region"
    return [Entry(region, Status.OVERTAKEN, cause=cause) for region in overtaken]


@task(name="publish", tags=[names.WAREHOUSE], **ONCE)
def publish(
    manifest: Manifest,
    extracts: list[Extracted],
    transformed: list[Transformed],
    left_out: list[Entry],
    thresholds: Thresholds,
    warehouse: str,
    gone: Mapping[str, Sequence[str]] | None = None,
    closed: Collection[str] = (),
) -> Publication:
    """Loads and publishes the batch. Prefect does not retry it: after a lost answer the ledger is asked."""
    logger = get_run_logger()
    tag = f"publish {manifest.attempt.batch_id} run {manifest.attempt.run_number}"
    open_again = partial(task_session, warehouse, tag)
    staged = Staged(manifest, extracts, transformed, left_out, thresholds, gone or {}, closed)
    may_commit = partial(refuse_stopped, manifest.attempt.flow_run_id, manifest.attempt.run_number, logger.warning)
    with opened(open_again, logger.info) as session:
        publication = publish_manifest(session, staged, open_again, logger.info, may_commit)
    logger.info(
        "step=publish regions=%d load_seconds=%.1f publish_seconds=%.1f",
        len(publication.regions),
        publication.seconds_load,
        publication.seconds_publish,
    )
    return publication
