"""Keeps what is logged, for tests of log lines."""

import logging


class Lines(logging.Handler):
    """A handler that keeps the messages of its loggers."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())
