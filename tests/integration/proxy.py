"""A TCP proxy that can go away: the network between a client and a real server, cut where a test says."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress


class Proxy:
    """Passes bytes between clients and 127.0.0.1:`target` until it is cut; then new connections are refused."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self) -> None:
        """Closes every connection and refuses new ones."""
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                for ends in ((client, server), (server, client)):
                    threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    @staticmethod
    def _pass_on(giver: socket.socket, taker: socket.socket) -> None:
        with suppress(OSError):
            while sent := giver.recv(65_536):
                taker.sendall(sent)
        with suppress(OSError):
            taker.shutdown(socket.SHUT_RDWR)


@contextmanager
def proxy_to(port: int) -> Iterator[Proxy]:
    """A proxy before the server on 127.0.0.1:`port`, cut at the end."""
    proxy = Proxy(port)
    try:
        yield proxy
    finally:
        proxy.cut()
