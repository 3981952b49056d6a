"""An outage of the Prefect server: its one alert, and the book of alerts that is kept meanwhile. Knows no Prefect."""

from dataclasses import replace

from tasks.alerts.book import AlertBook, Stage

OUTAGE_SLOT = "server-down"
"""One entry for an outage, whatever its days; it is removed when the server answers again."""

MIRRORED = "mirrored"
"""Holder of an entry that was copied from the server's book, so that an outage does not make it news."""


def sync_books(files: AlertBook, server: AlertBook) -> None:
    """Gives the server what was noticed while it was away, and remembers in files what it says was sent."""
    held = {entry.slot for entry in server.entries()}
    for entry in files.entries():
        if entry.holder != MIRRORED and entry.slot not in held:
            server.claim(entry)
        files.remove(entry)
    for entry in server.entries():
        if entry.stage is Stage.SENT:
            files.claim(replace(entry, holder=MIRRORED))
