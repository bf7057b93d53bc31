# SPDX-License-Identifier: Apache-2.0
"""The double: one event loop in one thread, its listener, and everything that tests command.

All public methods may be called from any thread.
"""
from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import threading
import time
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Set, Tuple, TypeVar, Union

from . import defaults
from .api import Api
from .auth import Auth
from .controller import Controller
from .faults import ACCEPT, Fault, FaultQueue
from .http import HEADER_LIMIT, Connection, ConnectionProtocol, Drop, set_rst
from .listing import Lister
from .reqlog import Record, RequestLog
from .resources import BY_PLURAL, Resource
from .store import Entry, Store
from .tls import Authority
from .watch import Watch

T = TypeVar("T")
BACKLOG = 4096
ENDPOINTS_WARNING = '299 - "v1 Endpoints is deprecated in v1.33+; use discovery.k8s.io/v1 EndpointSlice"'


@dataclass
class Settings:
    """How the server behaves; may be changed at any time."""

    bookmark_interval: float = 60.0  # seconds; 0: no bookmarks at all
    bookmark_before_deadline: float = 2.0  # seconds before the end of a watch that the last one is sent
    leases: bool = False  # other objects change all the time, as Leases of Nodes do: each bookmark has a newer version
    page_at_rv0: bool = False  # honour limit at resourceVersion=0 too (the real watch cache ignores it there)
    too_large_wait: float = 3.0  # seconds before a resourceVersion from the future is refused
    future_watch: str = "silent"  # a watch from beyond the counter: nothing until it gets there (seen on v1.37.2), or "error"
    watch_errors_as_http: bool = False  # 410 of a watch as HTTP status instead of an ERROR event
    watch_list: bool = False  # sendInitialEvents; False: 422, as 1.33 answers
    gzip_watch: bool = True  # compress list-watch streams that ask for it, as 1.37 does
    watch_buffer: int = 0  # events; a slower reader's watch is closed. 0: no limit
    endpoints_warning: bool = True  # Warning: 299 on core/v1 Endpoints


class Double:
    """A Kubernetes API server double. start() before use, stop() after; also a context manager.

    tls: serve https with a CA of its own under state_dir (tls.ca_file). token: the first valid
    bearer token; without one everybody may do everything.
    """

    def __init__(
        self, port: int = 0, host: str = "127.0.0.1", tls: bool = False, token: Optional[str] = None,
        state_dir: Union[None, str, Path] = None, ip_base: str = "10.96", first_rv: int = 1000, **settings: Any,
    ) -> None:
        self.host, self.port = host, port
        self.settings = Settings(**settings)
        self.store = Store(first_rv)
        self.lister = Lister(self.store)
        self.log = RequestLog()
        self.auth = Auth()
        self.faults = FaultQueue(self._wake_watches)
        self.allocator = defaults.Allocator(ip_base)
        self.absent: Set[str] = set()
        self.tls: Optional[Authority] = None
        if tls:
            if state_dir is None:
                raise ValueError("tls needs a state_dir")
            self.tls = Authority(Path(state_dir), host)
        if token:
            self.auth.add_token(token)
        self.controller = Controller(self.store)
        self._api = Api(self)
        self._watches: Set[Watch] = set()
        self._connections: Set[Connection] = set()
        self._tasks: Set["asyncio.Task[None]"] = set()
        self._listener: Optional[socket.socket] = None
        self._accepting: Optional["asyncio.Task[None]"] = None
        self._loop: Optional[asyncio.AbstractEventLoop] = None
        self._thread: Optional[threading.Thread] = None
        for name in ("default", "kube-system"):
            self.put("namespaces", {"metadata": {"name": name, "labels": {"kubernetes.io/metadata.name": name}}})

    # -- life ------------------------------------------------------------------------------------

    @property
    def listening(self) -> bool:
        return self._listener is not None

    @property
    def url(self) -> str:
        host = "[%s]" % self.host if ":" in self.host else self.host
        return "%s://%s:%d" % ("https" if self.tls else "http", host, self.port)

    def start(self) -> "Double":
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="double", daemon=True)
        self._thread.start()
        try:
            self._run(self._listen())
        except BaseException:
            self.stop()
            raise
        return self

    def stop(self) -> None:
        """Closes everything; safe to call twice."""
        if self._loop is None or self._thread is None:
            return
        self._run(self._shut_down())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self._loop = self._thread = None

    def __enter__(self) -> "Double":
        return self.start() if self._loop is None else self

    def __exit__(self, *_exc: Any) -> None:
        self.stop()

    def refuse(self, drop: bool = True) -> None:
        """Closes the listener, so that connects are refused; drop also resets open connections."""
        self._run(self._unlisten(drop))

    def accept_again(self) -> None:
        """Listens again on the same port; no-op when it does."""
        if self._listener is None:
            self._run(self._listen())

    @contextlib.contextmanager
    def refused(self, drop: bool = True) -> Any:
        """A window in which connects are refused."""
        self.refuse(drop)
        try:
            yield
        finally:
            self.accept_again()

    def restart(self, first_rv: Optional[int] = None) -> None:
        """Connections are reset and the history is lost. first_rv: as after an etcd restore, the
        resourceVersions begin anew behind this (lower) one."""
        with self.refused():
            if first_rv is None:
                self.store.compact()
            else:
                self.store.renumber(first_rv)

    # -- objects ---------------------------------------------------------------------------------

    def put(self, plural: str, obj: Dict[str, Any]) -> Entry:
        """Creates or replaces, with defaults and without validation or authorization."""
        obj = dict(obj)
        defaults.prepare(plural, obj, self.allocator.cluster_ip)
        return self.store.put(plural, obj)

    def put_raw(self, plural: str, body: bytes, name: str = "raw", namespace: str = "default",
                labels: Optional[Dict[str, str]] = None) -> None:
        """See Store.put_raw: any bytes as an object."""
        self.store.put_raw(plural, body, name, namespace, labels)

    def get(self, plural: str, name: str, namespace: str = "default") -> Optional[Dict[str, Any]]:
        entry = self.store.get(plural, name, namespace if BY_PLURAL[plural].namespaced else "")
        return json.loads(entry.alone(BY_PLURAL[plural])) if entry else None

    def list(self, plural: str) -> List[Dict[str, Any]]:
        """All objects but those that were put raw."""
        return [entry.object() for entry in self.store.snapshot(plural)[2] if not entry.raw]

    def delete(self, plural: str, name: str, namespace: str = "default") -> bool:
        return self.store.delete(plural, name, namespace if BY_PLURAL[plural].namespaced else "") is not None

    def request(self, method: str, target: str, body: Optional[Dict[str, Any]] = None) -> Tuple[int, Dict[str, Any]]:
        """An API request in process, with validation, all rights, no faults, not logged."""
        return self._api.direct(method, target, b"" if body is None else json.dumps(body).encode())

    def load(self, plural: str, objects: Iterable[Dict[str, Any]]) -> int:
        """Stores many objects as they are (no defaults, no controller); returns how many."""
        with self.controller.paused():
            return self.store.load(plural, objects)

    def burst(self, plural: str, name: str, count: int, namespace: str = "default") -> int:
        """`count` writes of an annotation of one object, as fast as possible; returns the last
        resourceVersion."""
        with self.store.lock, self.controller.paused():
            entry = self.store.get(plural, name, namespace)
            if entry is None:
                raise KeyError(name)
            obj = entry.object()
            annotations = obj["metadata"].setdefault("annotations", {})
            for number in range(count):
                annotations["double/burst"] = str(number)
                self.store.put(plural, obj)
            return self.store.rv

    # -- faults and counts -----------------------------------------------------------------------

    def fault(self, kind: str, resource: Optional[str] = None, verb: Optional[str] = None,
              times: Optional[int] = 1, **args: Any) -> Fault:
        """Queues a fault (kinds and stages: faults.py). times=None: until clear_faults()."""
        return self.faults.add(Fault(kind, resource, verb, times, args))

    def clear_faults(self) -> None:
        self.faults.clear()

    def requests(self, resource: Optional[str] = None, verb: Optional[str] = None, since: float = 0) -> List[Record]:
        return self.log.records(resource, verb, since)

    def counts(self, resource: Optional[str] = None, verb: Optional[str] = None, since: float = 0) -> int:
        """Requests seen so far; since is a time.monotonic()."""
        return len(self.log.records(resource, verb, since))

    def open_watches(self, resource: Optional[str] = None) -> int:
        return self.store.watchers(resource)

    def connections(self) -> int:
        """TCP connections accepted so far."""
        return self.log.connections

    def wait(self, condition: Callable[[], T], timeout: float = 60.0) -> T:
        """Polls a condition of the double until it is true; AssertionError with the log otherwise."""
        deadline = time.monotonic() + timeout
        while True:
            value = condition()
            if value:
                return value
            if time.monotonic() > deadline:
                raise AssertionError("not within %s s; requests:\n%s" % (timeout, self.describe()))
            time.sleep(0.005)

    def describe(self, last: int = 40) -> str:
        """The last requests, one line each, for failure messages."""
        start = self.log.records()[0].time if self.log.records() else 0.0
        return "\n".join(
            "%8.3f %s %s %s -> %d, %d bytes%s" % (
                r.time - start, r.method, r.path, r.query, r.status, r.bytes_sent, " [%s]" % r.fault if r.fault else "")
            for r in self.log.records()[-last:])

    def set(self, **settings: Any) -> None:
        """Changes Settings by name."""
        known = {f.name for f in fields(Settings)}
        for name, value in settings.items():
            if name not in known:
                raise ValueError("unknown setting %r" % name)
            setattr(self.settings, name, value)
        self._wake_watches()

    def reset(self, **settings: Any) -> None:
        """Back to the behaviour of construction: no faults, denials or absent resources, the good
        certificate, default Settings but those given. Objects and tokens stay."""
        self.clear_faults()
        self.auth.allow_all()
        self.absent.clear()
        if self.tls:
            self.tls.use("good")
            self.tls.publish()
        self.set(**{**vars(Settings()), **settings})

    # -- used by the handlers --------------------------------------------------------------------

    def warnings(self, resource: Resource) -> List[Tuple[str, str]]:
        if resource.plural == "endpoints" and self.settings.endpoints_warning:
            return [("Warning", ENDPOINTS_WARNING)]
        return []

    def watch_opened(self, watch: Watch) -> None:
        self._watches.add(watch)

    def watch_closed(self, watch: Watch) -> None:
        self._watches.discard(watch)

    # -- internals, on the loop's thread ---------------------------------------------------------

    def _run(self, coroutine: Any) -> Any:
        assert self._loop is not None, "the double is not started"
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result(30)

    def _wake_watches(self) -> None:
        def wake() -> None:
            for watch in self._watches:
                watch.awake.set()

        if self._loop is not None:
            self._loop.call_soon_threadsafe(wake)

    async def _listen(self) -> None:
        family = socket.AF_INET6 if ":" in self.host else socket.AF_INET
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setblocking(False)
        listener.bind((self.host, self.port))
        listener.listen(BACKLOG)
        self.port = listener.getsockname()[1]
        self._listener = listener
        self._accepting = asyncio.ensure_future(self._accept(listener))

    async def _unlisten(self, drop: bool) -> None:
        if self._accepting is not None:
            self._accepting.cancel()
            await asyncio.gather(self._accepting, return_exceptions=True)
        if self._listener is not None:
            self._listener.close()
        self._listener = self._accepting = None
        if drop:
            await self._drop_connections()

    async def _drop_connections(self) -> None:
        for connection in list(self._connections):
            connection.close(rst=True)
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _shut_down(self) -> None:
        await self._unlisten(drop=True)

    async def _accept(self, listener: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        while True:
            sock, peer = await loop.sock_accept(listener)
            self.log.connections += 1
            task = asyncio.ensure_future(self._serve_socket(sock, "%s:%d" % (peer[0], peer[1])))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve_socket(self, sock: socket.socket, peer: str) -> None:
        loop = asyncio.get_running_loop()
        fault = self.faults.take(ACCEPT)
        try:
            if fault is not None and fault.kind == "accept_close":
                if fault.get("rst"):
                    set_rst(sock)
                sock.close()
                return
            if fault is not None:
                seconds = fault.get("seconds")
                await asyncio.sleep(1e9 if seconds is None else float(seconds))
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            context = self.tls.context() if self.tls else None
            reader = asyncio.StreamReader(limit=HEADER_LIMIT)
            protocol = ConnectionProtocol(reader, loop)
            transport, _ = await loop.connect_accepted_socket(lambda: protocol, sock, ssl=context)
        except (OSError, ssl.SSLError):
            sock.close()  # the client left, or refused our certificate
            return
        except asyncio.CancelledError:
            sock.close()
            raise
        connection = Connection(reader, protocol, asyncio.StreamWriter(transport, protocol, reader, loop))
        self._connections.add(connection)
        try:
            await self._serve_requests(connection, peer)
        finally:
            self._connections.discard(connection)

    async def _serve_requests(self, connection: Connection, peer: str) -> None:
        rst = False
        try:
            while True:
                request = await connection.read_request()
                if request is None:
                    break
                request.log = self.log.begin(request.method, request.path, request.query, request.headers, peer)
                try:
                    keep = await self._api.serve(connection, request)
                finally:
                    request.log.end = time.monotonic()
                if not keep or not request.keep_alive:
                    break
        except Drop as drop:
            rst = drop.rst
        except ValueError:
            with contextlib.suppress(Drop, OSError):
                await connection.answer(400, b"400 Bad Request", "text/plain; charset=utf-8")
        except (asyncio.IncompleteReadError, OSError):
            pass  # the client left in the middle of something
        connection.close(rst)
