"""The book of alerts: one entry per slot, so that an alert is mailed once, whatever noticed it. Pure.

claim   SENDING, with the request, so that another sender can take over when this one dies
sent    SENT: not sent again until the failure is mended or the entry forgotten; a lasting anomaly renews it
failed  UNSENT: free for the next sender that notices it or that sends unsent mails
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Protocol
from uuid import uuid4

from tasks.alerts.request import AlertRequest
from tasks.lines import public_line, shortened

CLAIM_AGE_MAX = timedelta(minutes=20)
"""An older claim belongs to a sender that died: sending takes a few minutes at most, retries included."""

ENTRY_AGE_MAX = timedelta(days=60)

MESSAGE_LENGTH_MAX, REFUSED_LENGTH_MAX = 1000, 300
"""An entry has to fit into a Prefect variable of 5,000 characters."""

NAME_LENGTH_MAX = 200


class Stage(StrEnum):
    """How far the sending of an alert has come."""

    SENDING = "sending"
    SENT = "sent"
    UNSENT = "unsent"


@dataclass(frozen=True)
class AlertEntry:
    """An alert in the book. `at` is aware UTC; `holder` identifies the sender; `key` is the book's own id; `refused`
    names the recipients that did not get a mail that was sent."""

    slot: str
    request: AlertRequest
    at: datetime
    holder: str
    stage: Stage = Stage.SENDING
    key: str = ""
    refused: str = ""

    def to_text(self) -> str:
        """JSON text; the message of the request and `refused` are shortened."""
        message = self.request.message
        short = replace(self.request, message=message and public_line(message, MESSAGE_LENGTH_MAX))
        return json.dumps(
            {
                "slot": self.slot,
                "stage": self.stage,
                "at": self.at.isoformat(),
                "holder": self.holder,
                "request": short.to_json(),
                "refused": shortened(self.refused, REFUSED_LENGTH_MAX),
            }
        )

    @classmethod
    def from_text(cls, text: str, key: str) -> "AlertEntry":
        fields: dict[str, Any] = json.loads(text)
        return cls(
            slot=fields["slot"],
            request=AlertRequest(**fields["request"]),
            at=datetime.fromisoformat(fields["at"]),
            holder=fields["holder"],
            stage=Stage(fields["stage"]),
            key=key,
            refused=fields.get("refused", ""),
        )


class AlertBook(Protocol):
    """Where entries are kept. `claim` is atomic: of several callers one writes its entry.

    Both `claim` and `remove` may return False after the caller's own success: a client whose answer was lost sends the
    request again. `take` therefore goes by the entry that holds the slot.
    """

    def claim(self, entry: AlertEntry) -> bool:
        """Writes the entry; False when its slot is taken."""

    def find(self, slot: str) -> AlertEntry | None:
        """The entry of a slot."""

    def remove(self, entry: AlertEntry) -> bool:
        """Removes that very entry, not a later one of its slot; False when it no longer exists."""

    def rewrite(self, entry: AlertEntry, stage: Stage, at: datetime) -> None:
        """Records the stage of an alert that this sender has claimed."""

    def entries(self) -> list[AlertEntry]:
        """All entries."""


def new_entry(slot: str, request: AlertRequest, now: datetime) -> AlertEntry:
    """A claim under a new holder."""
    return AlertEntry(slot, request, now, holder=str(uuid4()))


def take(book: AlertBook, entry: AlertEntry, now: datetime, is_over: Callable[[AlertEntry], bool]) -> AlertEntry | None:
    """Claims the slot of `entry`; None when its alert was sent or is being sent.

    Failed and dead senders leave their slot free. `is_over` returns whether the failure of a sent alert was mended
    since, so that this one is new.
    """
    if mine := _claim(book, entry):
        return mine
    if held := book.find(entry.slot):
        if not (is_free(held, now) or (held.stage is Stage.SENT and is_over(held))):
            return None
        # Another sender may remove it first: the claim decides.
        book.remove(held)
    return _claim(book, entry)


def _claim(book: AlertBook, entry: AlertEntry) -> AlertEntry | None:
    """Claims the slot of `entry`; returns the entry as the book keeps it, None when another one holds the slot."""
    book.claim(entry)
    held = book.find(entry.slot)
    return held if held and held.holder == entry.holder else None


def renew(book: AlertBook, slot: str, now: datetime) -> None:
    """Records that a mailed anomaly lasts: the age of its entry counts from now."""
    if (held := book.find(slot)) and held.stage is Stage.SENT:
        book.rewrite(held, held.stage, now)


def is_free(entry: AlertEntry, now: datetime) -> bool:
    """Whether an entry's mail was not sent and no sender is at work on it."""
    return entry.stage is Stage.UNSENT or (entry.stage is Stage.SENDING and now - entry.at > CLAIM_AGE_MAX)


def release(book: AlertBook, entry: AlertEntry, now: datetime) -> None:
    """Records that the mail could not be sent, so that another sender may."""
    book.rewrite(entry, Stage.UNSENT, now)


def confirm(book: AlertBook, entry: AlertEntry, now: datetime) -> None:
    """Records that the mail was sent."""
    book.rewrite(entry, Stage.SENT, now)


def find_unsent(book: AlertBook, now: datetime) -> list[AlertEntry]:
    """Returns the entries whose mails could not be sent."""
    return [entry for entry in book.entries() if is_free(entry, now)]


def forget_old(book: AlertBook, now: datetime) -> int:
    """Removes entries older than 60 days; returns their number."""
    return sum(book.remove(entry) for entry in book.entries() if now - entry.at > ENTRY_AGE_MAX)


def plain_name(slot: str) -> str:
    """Returns a slot in lower-case letters, digits and underscores, as names of files and Prefect variables need. Slots
    with other letters and long ones end in a digest, so that no two slots share a name."""
    name = re.sub(r"[^a-z0-9]+", "_", slot.lower()).strip("_")
    if slot.isascii() and len(name) <= NAME_LENGTH_MAX:
        return name
    return f"{name[:NAME_LENGTH_MAX]}_{sha256(slot.encode()).hexdigest()[:12]}"
