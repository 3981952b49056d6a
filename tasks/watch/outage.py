"""An outage of the Prefect server: its one alert, and the book of alerts that is kept meanwhile. Knows no Prefect."""

from dataclasses import replace

from tasks.alerts.book import AlertBook, Stage

OUTAGE_SLOT = "server-down"
"""One entry per outage, however many days it lasts; it ends when the books are synced, and never goes to the server."""

MIRRORED = "mirrored"
"""Holder of an entry that was copied from the server's book, so that it is not mailed again in an outage."""


def sync_books(files: AlertBook, server: AlertBook) -> None:
    """Moves the entries of an outage to the server, and copies those of sent mails into files for the next outage.

    The files stay when the server's book raises: then the outage goes on.
    """
    of_outage, held = files.entries(), {OUTAGE_SLOT, *(entry.slot for entry in server.entries())}
    for entry in of_outage:
        if entry.holder != MIRRORED and entry.slot not in held:
            server.claim(entry)
    on_server = server.entries()
    for entry in of_outage:
        files.remove(entry)
    for entry in on_server:
        if entry.stage is Stage.SENT:
            files.claim(replace(entry, holder=MIRRORED))
