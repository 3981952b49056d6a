"""The S3 stand-in as a file system for DuckDB, whose own S3 extension would have to be downloaded."""

import io
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar

from fsspec.implementations.arrow import ArrowFSWrapper


class WholeFile(io.RawIOBase):
    """The bytes of a file, with a position for each thread: DuckDB reads the row groups of a file in parallel, and each
    of its threads seeks and reads in two steps."""

    def __init__(self, content: bytes) -> None:
        self._content = memoryview(content)
        self._of_thread = threading.local()

    @property
    def size(self) -> int:
        return len(self._content)

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True

    def tell(self) -> int:
        return getattr(self._of_thread, "position", 0)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        begin = {io.SEEK_SET: 0, io.SEEK_CUR: self.tell(), io.SEEK_END: self.size}[whence]
        self._of_thread.position = begin + offset
        return self.tell()

    def read(self, size: int = -1) -> bytes:
        begin = self.tell()
        end = self.size if size < 0 else min(begin + size, self.size)
        self._of_thread.position = end
        return bytes(self._content[begin:end])


@dataclass(frozen=True)
class KeptFile:
    """A file as a COPY first read it."""

    content: bytes
    read_at: datetime


class S3(ArrowFSWrapper):
    """Reads files whole, in one request: once for a COPY, which opens each of its files a dozen times."""

    protocol = "s3"
    _changing: ClassVar[threading.Lock] = threading.Lock()
    _copies: ClassVar[int] = 0
    _kept: ClassVar[dict[str, KeptFile]] = {}

    @classmethod
    @contextmanager
    def of_copy(cls) -> Iterator[None]:
        """Keeps the files of a COPY: it sees each as it was when a COPY under way first read it."""
        with cls._changing:
            cls._copies += 1
        try:
            yield
        finally:
            with cls._changing:
                cls._copies -= 1
                if not cls._copies:
                    cls._kept.clear()

    def info(self, path: str, **kwargs: Any) -> Any:
        if not (kept := self._keep(path)):
            return super().info(path, **kwargs)
        return {"name": self._strip_protocol(path), "size": len(kept.content), "type": "file"}

    def exists(self, path: str, **kwargs: Any) -> bool:
        return self._keep(path) is not None or bool(super().exists(path, **kwargs))

    def modified(self, path: str) -> Any:
        kept = self._keep(path)
        return kept.read_at if kept else super().modified(path)

    def _open(self, path: str, mode: str = "rb", **kwargs: Any) -> Any:
        if mode != "rb":
            return super()._open(path, mode, **kwargs)
        kept = self._keep(path)
        return WholeFile(kept.content if kept else self._read(path))

    def _keep(self, path: str) -> KeptFile | None:
        """The file as a COPY sees it; None outside a COPY, or if there is no file."""
        if not self._copies:
            return None
        name = self._strip_protocol(path)
        if name not in self._kept:
            with suppress(OSError):
                self._kept[name] = KeptFile(self._read(name), datetime.now(UTC))
        return self._kept.get(name)

    def _read(self, path: str) -> bytes:
        with self.fs.open_input_file(self._strip_protocol(path)) as stream:
            content: bytes = stream.read()
            return content

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return path.removeprefix("s3://")
