"""The mail server: accepts every mail and keeps it in the Maildir `mail` of the state directory."""

import os
import signal

from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Mailbox

from local.environment import HOST, state_dir


def main() -> None:
    """Serves until SIGTERM or SIGINT."""
    stop = {signal.SIGTERM, signal.SIGINT}
    signal.pthread_sigmask(signal.SIG_BLOCK, stop)
    server = Controller(Mailbox(state_dir() / "mail"), hostname=HOST, port=int(os.environ["SMTP_PORT"]))
    server.start()
    signal.sigwait(stop)
    server.stop()


if __name__ == "__main__":
    main()
