"""`make mails`: the mails that the local stack has received, the newest last."""

import mailbox
import os
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from email import policy
from email.message import EmailMessage
from email.parser import BytesParser
from pathlib import Path

from local.environment import StackError, read_stack_env, state_dir
from tasks.alerts.compose import hide_values
from tasks.lines import in_one_line

WHOLE = 5
"""How many of the newest are printed with their text; the others are a line each."""
RULE = "-" * 80


def main() -> int:
    """Prints the mails; an error is one line on stderr."""
    try:
        refuse_other_server(read_stack_env()["PREFECT_API_URL"], os.environ.get("PREFECT_API_URL", ""))
    except StackError as error:
        print(error, file=sys.stderr)
        return 1
    print("\n".join(to_lines(read_mails(state_dir() / "mail"))))
    return 0


def refuse_other_server(own: str, named: str) -> None:
    """Raises StackError if `named` is another Prefect server than `own`: its mails are not here."""
    if named and named.rstrip("/") != own.rstrip("/"):
        raise StackError(
            f"PREFECT_API_URL names {hide_values(named)}, whose mails go to its own mail server: unset it to list the "
            f"mails of the local stack ({own})"
        )


def read_mails(directory: Path) -> list[tuple[datetime, EmailMessage]]:
    """Returns the mails with the time of their arrival (aware UTC), the newest last."""
    if not directory.exists():
        return []
    box, parser = mailbox.Maildir(directory, create=False), BytesParser(policy=policy.default)
    found = [
        (datetime.fromtimestamp(box.get_message(key).get_date(), UTC), parser.parsebytes(box.get_bytes(key)))
        for key in box.keys()  # noqa: SIM118 (iterating over a mailbox gives its messages)
    ]
    return sorted([(at, mail) for at, mail in found if isinstance(mail, EmailMessage)], key=lambda found: found[0])


def to_lines(mails: Sequence[tuple[datetime, EmailMessage]]) -> Iterator[str]:
    """Yields a line for each of the earlier mails, and the newest WHOLE with their text."""
    if not mails:
        yield "no mail has arrived"
    for at, mail in mails[:-WHOLE]:
        yield f"{at:%Y-%m-%d %H:%M:%S} UTC  {_header(mail, 'Subject')}"
    for at, mail in mails[-WHOLE:]:
        yield RULE
        yield f"Date     {at:%Y-%m-%d %H:%M:%S} UTC"
        yield f"Subject  {_header(mail, 'Subject')}"
        yield f"To       {_header(mail, 'To')}"
        yield ""
        body = mail.get_body(("plain", "html"))
        text = str(body.get_content()) if body else ""
        yield from (in_one_line(line) for line in text.rstrip().splitlines())


def _header(mail: EmailMessage, name: str) -> str:
    return " ".join(in_one_line(mail.get(name, "")).split())


if __name__ == "__main__":
    sys.exit(main())
