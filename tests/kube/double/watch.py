# SPDX-License-Identifier: Apache-2.0
"""One watch: registration, events, bookmarks, deadline, and the faults of an open stream."""
from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Dict, Optional

from . import misbehave
from .errors import ApiError
from .faults import BODY, EVENT_ONLY, WATCH, Fault
from .http import Connection, Drop, Request, Stream
from .resources import Resource, dumps
from .store import Match, Watcher

if TYPE_CHECKING:
    from .server import Double

FLUSH = 64 * 1024  # events that are ready at the same time share a chunk up to this size
INITIAL_EVENTS_END = {"k8s.io/initial-events-end": "true"}
MIN_REQUEST_TIMEOUT = 1800.0
STREAM_FAULTS = (BODY | WATCH) - {"truncate"}


def _number(query: Dict[str, str], name: str) -> Optional[float]:
    try:
        return float(query[name]) if query.get(name) else None
    except ValueError:
        return None


class Watch:
    """Serves one watch request on its connection; the task of the connection runs it."""

    def __init__(self, server: "Double", conn: Connection, req: Request, resource: Resource, match: Match) -> None:
        self.server, self.conn, self.req, self.resource = server, conn, req, resource
        self.loop = asyncio.get_running_loop()
        self.awake = asyncio.Event()
        self.watcher = Watcher(resource, match, self._wake_threadsafe, server.settings.watch_buffer)
        self.bookmarks = req.query.get("allowWatchBookmarks") in ("true", "1")
        self.initial = req.query.get("sendInitialEvents") in ("true", "1")
        self.sent_last = b""
        self.reached = 0  # resourceVersion that a bookmark may safely name

    def _wake_threadsafe(self) -> None:
        try:
            self.loop.call_soon_threadsafe(self.awake.set)
        except RuntimeError:
            pass  # the server's loop has ended

    async def run(self) -> None:
        settings = self.server.settings
        rv = 0 if self.initial else int(self.req.query.get("resourceVersion") or "0")
        if rv > self.server.store.rv and settings.future_watch == "error":
            await self.conn.until_gone(settings.too_large_wait)
        try:
            self.reached = self.server.store.watch(self.watcher, rv, settings.future_watch == "silent")
        except ApiError as error:
            if settings.watch_errors_as_http:
                raise
            stream = await self._open()
            await stream.write(dumps({"type": "ERROR", "object": error.status}) + b"\n")
            await stream.finish()
            return
        try:
            self.server.watch_opened(self)
            stream = await self._open()
            if self.initial:
                end = self._bookmark(INITIAL_EVENTS_END)
                while self.watcher.queue:
                    await self._flush(stream)
                await stream.write(end)
            await self._events(stream)
        finally:
            self.server.watch_closed(self)
            self.server.store.unwatch(self.watcher)

    async def _open(self) -> Stream:
        fields = list(misbehave.JSON_FIELDS)
        fields += self.server.warnings(self.resource)
        compress = self.initial and self.bookmarks and self.server.settings.gzip_watch and self.req.accepts_gzip()
        if compress:
            fields.append(("Content-Encoding", "gzip"))
        stream = await self.conn.stream(200, fields)
        stream.gzip = compress
        return stream

    async def _events(self, stream: Stream) -> None:
        settings = self.server.settings
        seconds = _number(self.req.query, "timeoutSeconds")
        if not seconds or seconds <= 0:
            seconds = MIN_REQUEST_TIMEOUT * (1 + random.random())
        deadline = self.loop.time() + seconds
        bookmark_at = self._next_bookmark(deadline)
        while not self.conn.gone.is_set():
            self.awake.clear()
            fault = self.server.faults.take(STREAM_FAULTS, self.resource.plural, "watch", self._applies)
            if fault is not None:
                if not await self._apply(stream, fault):
                    return
                continue
            if self.watcher.queue:
                await self._flush(stream)
                continue
            now = self.loop.time()
            if self.watcher.overflow or now >= deadline:
                await stream.finish()
                return
            if bookmark_at is not None and now >= bookmark_at:
                if settings.leases:
                    self.server.store.touch()
                if self.server.store.rv > self.watcher.after:
                    await stream.write(self._bookmark({}))
                bookmark_at = self._next_bookmark(deadline)
                continue
            if bookmark_at is None and self.bookmarks and settings.bookmark_interval:
                bookmark_at = self._next_bookmark(deadline)
            await self._wait(min(deadline, bookmark_at or deadline) - now)

    def _next_bookmark(self, deadline: float) -> Optional[float]:
        settings = self.server.settings
        if not self.bookmarks or not settings.bookmark_interval:
            return None
        now = self.loop.time()
        last = deadline - settings.bookmark_before_deadline
        if last <= now:
            return None  # the one before the deadline was sent
        return min(now + settings.bookmark_interval, last)

    async def _wait(self, seconds: float) -> None:
        """Until something was added to the buffer, the client left, or the time is over."""
        waits = [asyncio.ensure_future(self.awake.wait()), asyncio.ensure_future(self.conn.gone.wait())]
        try:
            await asyncio.wait(waits, timeout=max(0.0, seconds), return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _flush(self, stream: Stream) -> None:
        queue = self.watcher.queue
        while queue:
            lines, size = [], 0
            while queue and size < FLUSH:
                lines.append(queue.popleft())
                size += len(lines[-1])
                if self.server.faults.pending():
                    break
            self.sent_last = lines[-1]
            await stream.write(b"".join(lines))
            if self.server.faults.pending():
                return

    def _bookmark(self, annotations: Dict[str, str]) -> bytes:
        with self.server.store.lock:
            if not self.watcher.queue:  # a bookmark must not cover events that are not sent yet
                self.reached = self.server.store.rv
        return b'{"type":"BOOKMARK","object":%s}\n' % self.resource.bookmark_object(self.reached, annotations)

    # -- faults ----------------------------------------------------------------------------------

    def _applies(self, fault: Fault) -> bool:
        namespace = fault.get("namespace")
        if namespace and f"/namespaces/{namespace}/" not in self.req.path:
            return False
        return fault.kind not in EVENT_ONLY or bool(self.watcher.queue) or bool(fault.get("now"))

    async def _apply(self, stream: Stream, fault: Fault) -> bool:
        """Carries out a fault. False: the stream has ended."""
        kind = fault.kind
        if self.req.log is not None:
            self.req.log.fault = kind
        if kind in ("drip", "bytes", "utf8"):
            misbehave.set_shape(stream, fault)
        elif kind in ("rst", "fin"):
            line = self.watcher.queue[0] if self.watcher.queue else self._bookmark({})
            await stream.write(line[: int(fault.get("size", len(line) // 2))])
            await misbehave.break_off(self.conn, fault)
        elif kind == "stall":
            await misbehave.break_off(self.conn, fault)
        elif kind == "duplicate":
            line = self.watcher.queue[0] if self.watcher.queue else self.sent_last
            self.watcher.queue.appendleft(line)
            await self._flush(stream)
        elif kind == "end":
            await stream.finish()
            return False
        elif kind in ("error", "error_410", "error_500"):
            await stream.write(misbehave.error_line(fault))
            await stream.finish()
            return False
        elif kind in ("endless_line", "infinite_body"):
            if kind == "endless_line":
                await misbehave.endless_line(stream, fault)
            else:
                await misbehave.flood_bookmarks(stream, fault, self._bookmark({}))
            raise Drop(rst=False)
        else:
            await stream.write(self._strange_line(fault))
        return True

    def _strange_line(self, fault: Fault) -> bytes:
        if fault.kind == "unknown_type":
            obj = self.resource.bookmark_object(self.server.store.rv, {})
            return b'{"type":"%s","object":%s}\n' % (str(fault.get("type", "REPLACED")).encode(), obj)
        data = fault.get("data", misbehave.GARBAGE)
        return data.encode() if isinstance(data, str) else data
