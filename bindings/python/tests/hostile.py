"""Servers between client and simulator: one that relays bytes and may stop reading, and one that relays evidence."""

from __future__ import annotations

import http.client
import re
import socket
import ssl
import threading
from pathlib import Path
from types import TracebackType
from typing import TypeVar

Self = TypeVar("Self", bound="Listener")


class Listener:
    """Accepts on a port of its own until it is left; each connection has a thread."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._guarded, args=(connection,), daemon=True).start()

    def _guarded(self, connection: socket.socket) -> None:
        try:
            self.serve(connection)
        except (OSError, ssl.SSLError):
            pass
        finally:
            connection.close()

    def serve(self, connection: socket.socket) -> None:
        raise NotImplementedError

    def __enter__(self: Self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


class Stalling(Listener):
    """Relays to the simulator, and reads no more once `limit` bytes came from the client."""

    def __init__(self, port: int, limit: int) -> None:
        self._target, self._limit = port, limit
        self._over = threading.Event()
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            threading.Thread(target=self._back, args=(server, connection), daemon=True).start()
            came = 0
            while came < self._limit and (piece := connection.recv(4096)):
                came += len(piece)
                server.sendall(piece)
            if came >= self._limit:
                self._over.wait(30)

    def _back(self, server: socket.socket, connection: socket.socket) -> None:
        try:
            while piece := server.recv(65536):
                connection.sendall(piece)
        except OSError:
            pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        super().__exit__(kind, error, trace)


class Impostor(Listener):
    """Ends TLS itself with a certificate that is valid for localhost, and answers the question for evidence in one of several ways.

    `seen` is everything that clients sent, decrypted.
    """

    def __init__(self, sim: Path, port: int, lie: str) -> None:
        self._port, self._lie = port, lie
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(sim / "peer.pem", sim / "peer-key.pem")
        self._trust = ssl.create_default_context(cafile=str(sim / "web-ca.pem"))
        self.seen = b""
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        with self._context.wrap_socket(connection, server_side=True) as tls:
            while piece := tls.recv(65536):
                self.seen += piece
                head, _, body = self.seen.partition(b"\r\n\r\n")
                length = re.search(rb"content-length: *(\d+)", head, re.IGNORECASE)
                if length and len(body) >= int(length[1]):
                    path = head.split()[1].decode()
                    status, answer = self._answer(path, body[: int(length[1])])
                    tls.sendall(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%s" % (status, len(answer), answer))

    def _answer(self, path: str, question: bytes) -> tuple[int, bytes]:
        if self._lie == "relays":
            # The honest machine's evidence for this very nonce, over a session of the impostor's own.
            honest = http.client.HTTPSConnection("localhost", self._port, context=self._trust)
            honest.request("POST", path, question, {"Content-Type": "application/json"})
            response = honest.getresponse()
            answer = response.status, response.read()
            honest.close()
            return answer
        return (404, b"no such thing") if self._lie == "has none" else (200, b'{"quote":"nonsense"}')
