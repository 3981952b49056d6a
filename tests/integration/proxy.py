"""A TCP proxy that loses things: the network between a client and a real server, cut or lossy where a test says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from enum import Enum

QUERY = b"POST /queries/v1/query-request"


class Loss(Enum):
    """What the proxy does to the next query that passes."""

    REQUEST = "the request is lost: the server never sees it"
    ANSWER = "the answer is lost: the server has done it"
    ANSWER_FOR_GOOD = "the answer is lost, and the network with it"


class Proxy:
    """Passes bytes between clients and 127.0.0.1:`target` until it is cut; then new connections are refused."""

    def __init__(self, target: int, query: bytes = QUERY) -> None:
        self._target, self._query = target, query
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        self._next_loss: Loss | None = None
        self._is_stalled = False
        self.losses: list[Loss] = []
        self.accepted = 0
        """Connections of clients."""
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Closes every connection and refuses new ones."""
        for connection in self._open:
            _close(connection)

    def lose_next(self, loss: Loss) -> None:
        """Loses one query: its request, or its answer."""
        self._next_loss = loss

    def stall(self) -> None:
        """From here on connections are accepted and requests read, and nothing is answered."""
        self._is_stalled = True

    @property
    def is_stalled(self) -> bool:
        return self._is_stalled

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                if self._is_stalled:
                    self._open.append(client)
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                pair = _Pair(self, client, server)
                for passes in (pair.pass_requests, pair.pass_answers):
                    threading.Thread(target=passes, daemon=True).start()

    def take_loss(self, request: bytes) -> Loss | None:
        """The loss that was asked for, once, when these bytes begin a query."""
        if self._query not in request:
            return None
        loss, self._next_loss = self._next_loss, None
        self.losses += [loss] if loss else []
        return loss


class _Pair:
    """A client's connection and the one to the server that belongs to it."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._loss: Loss | None = None

    def pass_requests(self) -> None:
        with suppress(OSError):
            while sent := self._client.recv(65_536):
                if self._proxy.is_stalled:
                    continue
                loss = self._proxy.take_loss(sent)
                if loss is Loss.REQUEST:
                    self._close()
                    return
                self._loss = loss or self._loss
                self._server.sendall(sent)
        _shut(self._server)

    def pass_answers(self) -> None:
        with suppress(OSError):
            while answer := self._server.recv(65_536):
                if self._proxy.is_stalled:
                    continue
                if self._loss is Loss.ANSWER_FOR_GOOD:
                    self._proxy.cut()
                if self._loss:
                    self._close()
                    return
                self._client.sendall(answer)
        _shut(self._client)

    def _close(self) -> None:
        _close(self._client)
        _close(self._server)


def _shut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_WR)


def _close(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()


@contextmanager
def proxy_to(port: int, query: bytes = QUERY) -> Iterator[Proxy]:
    """A proxy before the server on 127.0.0.1:`port`, cut at the end; `query` is what a request has that can be lost."""
    proxy = Proxy(port, query)
    try:
        yield proxy
    finally:
        proxy.cut()
