# SPDX-License-Identifier: Apache-2.0
"""HTTP/1.1 on one accepted connection: request parsing, answers, chunked streams, rude endings."""
from __future__ import annotations

import asyncio
import gzip
import socket
import struct
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any, Dict, List, Optional, Tuple
from urllib.parse import parse_qsl, unquote, urlsplit

from .resources import dumps

HEADER_LIMIT = 1 << 20
WRITE_PIECE = 256 * 1024
CHUNKED_ABOVE = 2048  # Go's server buffers this much before it gives up on Content-Length
GZIP_ABOVE = 128 * 1024  # the API server compresses lists above this size only


class Drop(Exception):
    """Ends the connection now: with RST, or with FIN and no end of the body."""

    def __init__(self, rst: bool) -> None:
        super().__init__("rst" if rst else "fin")
        self.rst = rst


class ConnectionProtocol(asyncio.StreamReaderProtocol):
    """A stream protocol that also tells when the peer has left."""

    def __init__(self, reader: asyncio.StreamReader, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(reader, loop=loop)
        self.gone = asyncio.Event()

    def eof_received(self) -> Optional[bool]:
        self.gone.set()
        return super().eof_received()

    def connection_lost(self, exc: Optional[Exception]) -> None:
        self.gone.set()
        super().connection_lost(exc)


class Request:
    """A parsed request. Header names are in lower case."""

    def __init__(self, method: str, target: str, headers: Dict[str, str], body: bytes) -> None:
        parts = urlsplit(target)
        self.method, self.target, self.headers, self.body = method, target, headers, body
        self.path = unquote(parts.path)
        self.query: Dict[str, str] = dict(parse_qsl(parts.query, keep_blank_values=True))
        self.log: Any = None

    def accepts_gzip(self) -> bool:
        return "gzip" in self.headers.get("accept-encoding", "")

    @property
    def keep_alive(self) -> bool:
        return self.headers.get("connection", "").lower() != "close"


class Connection:
    def __init__(self, reader: asyncio.StreamReader, protocol: ConnectionProtocol, writer: asyncio.StreamWriter) -> None:
        self.reader, self.protocol, self.writer = reader, protocol, writer
        self.gone = protocol.gone
        self.request: Optional[Request] = None

    # -- requests --------------------------------------------------------------------------------

    async def read_request(self) -> Optional[Request]:
        """The next request; None when the client closed. ValueError for what is not HTTP."""
        try:
            head = await self.reader.readuntil(b"\r\n\r\n")
        except (asyncio.IncompleteReadError, ConnectionError, OSError):
            return None
        lines = head.decode("latin-1").split("\r\n")
        try:
            method, target, _version = lines[0].split(" ")
        except ValueError:
            raise ValueError("malformed request line: %r" % lines[0]) from None
        headers = {}
        for line in lines[1:-2]:
            name, _, value = line.partition(":")
            headers[name.strip().lower()] = value.strip()
        length = int(headers.get("content-length", "0"))
        if length and headers.get("expect", "").lower() == "100-continue":
            self.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        body = await self.reader.readexactly(length) if length else b""
        self.request = Request(method, target, headers, body)
        return self.request

    # -- answers ---------------------------------------------------------------------------------

    async def write(self, data: bytes) -> None:
        """Raw bytes, flushed; counts them in the request log."""
        if self.gone.is_set():
            raise Drop(rst=False)
        self.writer.write(data)
        if self.request is not None and self.request.log is not None:
            self.request.log.bytes_sent += len(data)
        await self.writer.drain()

    async def head(self, status: int, headers: List[Tuple[str, str]]) -> None:
        if self.request is not None and self.request.log is not None:
            self.request.log.status = status
        lines = ["HTTP/1.1 %d %s" % (status, _phrase(status))]
        lines += ["%s: %s" % pair for pair in headers]
        lines += ["Date: " + formatdate(time.time(), usegmt=True), "", ""]
        await self.write("\r\n".join(lines).encode("latin-1"))

    async def answer(
        self, status: int, body: bytes, content_type: str = "application/json",
        headers: Optional[Dict[str, str]] = None,
    ) -> None:
        """A whole answer, Content-Length or chunked by its size as Go's server does it."""
        fields = [("Content-Type", content_type), ("Cache-Control", "no-cache, private")]
        fields += list((headers or {}).items())
        if len(body) > GZIP_ABOVE and self.request is not None and self.request.accepts_gzip():
            body = gzip.compress(body, 1)
            fields.append(("Content-Encoding", "gzip"))
        if len(body) <= CHUNKED_ABOVE:
            await self.head(status, fields + [("Content-Length", str(len(body)))])
            await self.write(body)
            return
        stream = await self.stream(status, fields)
        for start in range(0, len(body), WRITE_PIECE):
            await stream.write(body[start : start + WRITE_PIECE])
        await stream.finish()

    async def answer_json(self, status: int, value: Any, headers: Optional[Dict[str, str]] = None) -> None:
        await self.answer(status, dumps(value) + b"\n", headers=headers)

    async def stream(self, status: int, fields: List[Tuple[str, str]]) -> "Stream":
        await self.head(status, fields + [("Transfer-Encoding", "chunked")])
        return Stream(self)

    # -- endings ---------------------------------------------------------------------------------

    async def until_gone(self, seconds: Optional[float] = None) -> None:
        """Waits without a byte until the client leaves, or `seconds` have passed."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except asyncio.TimeoutError:
            pass

    def close(self, rst: bool = False) -> None:
        transport = self.writer.transport
        if rst:
            sock = transport.get_extra_info("socket")
            if sock is not None and sock.fileno() >= 0:  # it may be lost already
                set_rst(sock)
            transport.abort()
        else:
            transport.close()


class Stream:
    """A chunked body. `shape` is how writes are cut: whole, bytes, drip or utf8."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.shape = "whole"
        self.drip_seconds = 1.0
        self.drip_count = 1
        self.gzip = False

    async def write(self, data: bytes) -> None:
        if self.gzip:
            data = gzip.compress(data)  # one member for each flush, as the API server 1.37 does it
        if self.shape == "whole":
            await self._chunk(data)
        elif self.shape == "utf8":
            for piece in split_in_characters(data):
                await self._chunk(piece)
        elif self.shape == "bytes":
            for start in range(0, len(data), 4096):
                part = data[start : start + 4096]
                await self.connection.write(b"".join(b"1\r\n%c\r\n" % byte for byte in part))
        else:
            for start in range(0, len(data), self.drip_count):
                await self._chunk(data[start : start + self.drip_count])
                await self.connection.until_gone(self.drip_seconds)

    async def _chunk(self, data: bytes) -> None:
        if data:
            await self.connection.write(b"%x\r\n%s\r\n" % (len(data), data))

    async def finish(self) -> None:
        await self.connection.write(b"0\r\n\r\n")


def split_in_characters(data: bytes) -> List[bytes]:
    """Cuts `data` after the first byte of every multi-byte UTF-8 character."""
    pieces, start = [], 0
    for index, byte in enumerate(data):
        if byte >= 0xC0:
            pieces.append(data[start : index + 1])
            start = index + 1
    pieces.append(data[start:])
    return pieces


def set_rst(sock: Any) -> None:
    """Makes the next close of the socket send RST."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"
