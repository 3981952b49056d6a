"""A proxy that makes a local server as distant as in production: it delays and records each HTTP request."""

import gzip
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

QUERY = "POST /queries/v1/query-request"
"""The request with which the Snowflake connector runs a statement."""
METHODS = (b"GET ", b"POST ", b"PUT ", b"PATCH ", b"DELETE ", b"HEAD ")


@dataclass
class Request:
    """One HTTP request: its head and body as they were sent."""

    sent: bytearray = field(default_factory=bytearray)

    @property
    def line(self) -> str:
        """Method and path, without a query string."""
        method, path, _ = self.sent.split(b"\r\n", 1)[0].decode().split(" ", 2)
        return f"{method} {path.partition('?')[0]}"

    @property
    def statement(self) -> str:
        """The statement that a QUERY runs."""
        body = bytes(self.sent.partition(b"\r\n\r\n")[2])
        document = json.loads(gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body)
        return str(document["sqlText"])


class FarAway:
    """Passes bytes between clients and 127.0.0.1:`target`. Requests whose line begins with `delayed` wait `seconds`."""

    def __init__(self, target: int, seconds: float, delayed: str = "") -> None:
        self._target, self._seconds, self._delayed = target, seconds, delayed
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.requests: list[Request] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def requests_to(self, line: str) -> list[Request]:
        """Returns the requests so far whose line begins with `line`."""
        return [request for request in self.requests if request.line.startswith(line)]

    def close(self) -> None:
        """Takes no more connections."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                for end in (client, server):
                    end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                state = _Connection(self, client, server)
                for passes in (state.pass_requests, state.pass_responses):
                    threading.Thread(target=passes, daemon=True).start()

    def record(self, request: Request) -> None:
        """Records the request, and waits as long as it is delayed."""
        self.requests.append(request)
        if request.line.startswith(self._delayed):
            time.sleep(self._seconds)


class _Connection:
    """A client's connection and its connection to the server.

    An HTTP/1.1 client sends a request only after the response to the last one: the first bytes after a response begin
    a request.
    """

    def __init__(self, proxy: FarAway, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._request: Request | None = None

    def pass_requests(self) -> None:
        with suppress(OSError):
            while sent := self._client.recv(65_536):
                if self._request is not None:
                    self._request.sent += sent
                elif sent.startswith(METHODS):
                    self._request = Request(bytearray(sent))
                    self._proxy.record(self._request)
                self._server.sendall(sent)
        with suppress(OSError):
            self._server.shutdown(socket.SHUT_WR)

    def pass_responses(self) -> None:
        with suppress(OSError):
            while response := self._server.recv(65_536):
                self._request = None
                self._client.sendall(response)
        with suppress(OSError):
            self._client.shutdown(socket.SHUT_WR)
        self._server.close()


@contextmanager
def far_away(target: int, seconds: float = 0.0, delayed: str = "") -> Iterator[FarAway]:
    """A proxy before the server on 127.0.0.1:`target`."""
    proxy = FarAway(target, seconds, delayed)
    try:
        yield proxy
    finally:
        proxy.close()
