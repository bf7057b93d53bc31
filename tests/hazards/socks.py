# SPDX-License-Identifier: Apache-2.0
"""A SOCKS5 proxy on the loopback that notes where it was asked to go, and goes there."""
import socket
import socketserver
import struct
import threading
from typing import List, Tuple


class Handler(socketserver.BaseRequestHandler):
    """RFC 1928, without authentication: CONNECT to an IPv4 address or a name."""

    request: socket.socket

    def exactly(self, size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = self.request.recv(size - len(data))
            if not part:
                raise ConnectionError("the client left")
            data += part
        return data

    def target(self) -> Tuple[str, int]:
        _version, methods = self.exactly(2)
        self.exactly(methods)
        self.request.sendall(b"\5\0")
        _version, _command, _reserved, kind = self.exactly(4)
        host = socket.inet_ntoa(self.exactly(4)) if kind == 1 else self.exactly(self.exactly(1)[0]).decode()
        return host, struct.unpack("!H", self.exactly(2))[0]

    def handle(self) -> None:
        try:
            target = self.target()
            self.server.asked.append(target)  # type: ignore[attr-defined]
            with socket.create_connection(target, timeout=5) as onward:
                self.request.sendall(b"\5\0\0\1" + bytes(6))
                back = threading.Thread(target=self.relay, args=(onward, self.request))
                back.start()
                self.relay(self.request, onward)
                back.join()
        except OSError:
            pass  # the client sees a closed connection

    @staticmethod
    def relay(source: socket.socket, sink: socket.socket) -> None:
        try:
            while True:
                data = source.recv(65536)
                if not data:
                    break
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            pass


class Proxy(socketserver.ThreadingTCPServer):
    """with Proxy() as proxy: proxy.port, and proxy.asked, every target so far."""

    allow_reuse_address = True
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.port: int = self.server_address[1]
        self.asked: List[Tuple[str, int]] = []

    def __enter__(self) -> "Proxy":
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.shutdown()
        self.server_close()
