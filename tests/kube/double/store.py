# SPDX-License-Identifier: Apache-2.0
"""Objects, the one resourceVersion counter, the history ring and its compaction.

Every method is thread-safe. Objects are kept as encoded JSON: what a client reads is what was
written, and nothing that a test holds can change it afterwards.
"""
from __future__ import annotations

import json
import threading
import time
import uuid
from collections import deque
from typing import Any, Callable, Deque, Dict, Iterable, List, Mapping, NamedTuple, Optional, Tuple

from . import errors
from .resources import ALL, BY_PLURAL, Resource, dumps

Key = Tuple[str, str]


class Entry(NamedTuple):
    """One version of one object."""

    namespace: str
    name: str
    rv: int
    labels: Mapping[str, str]
    body: bytes
    raw: bool = False  # given as bytes by a test: sent as it is, perhaps no object at all

    def alone(self, resource: Resource) -> bytes:
        """The object as it stands outside of a list, with kind and apiVersion."""
        return self.body if self.raw else resource.typed(self.body)

    def object(self) -> Dict[str, Any]:
        obj: Dict[str, Any] = json.loads(self.body)
        return obj


Match = Callable[[Entry], bool]


class Event:
    """One write: `entry` is None for a deletion, `prev` is None for a creation."""

    __slots__ = ("resource", "rv", "entry", "prev", "_lines")

    def __init__(self, resource: Resource, rv: int, entry: Optional[Entry], prev: Optional[Entry]) -> None:
        self.resource, self.rv, self.entry, self.prev = resource, rv, entry, prev
        self._lines: Dict[str, bytes] = {}

    def line(self, match: Match) -> Optional[bytes]:
        """The watch line for a watcher with this selector, None when it sees nothing of the write.
        Leaving the selector reads as DELETED, entering it as ADDED."""
        now = self.entry is not None and match(self.entry)
        before = self.prev is not None and match(self.prev)
        if now:
            return self._line("MODIFIED" if before else "ADDED")
        return self._line("DELETED") if before else None

    def _line(self, kind: str) -> bytes:
        line = self._lines.get(kind)
        if line is None:
            # A deletion shows the previous content with its own resourceVersion.
            entry = at_rv(self.prev, self.rv) if kind == "DELETED" else self.entry  # type: ignore[arg-type]
            assert entry is not None
            line = self._lines[kind] = event_line(kind, entry.alone(self.resource))
        return line


def at_rv(entry: Entry, rv: int) -> Entry:
    """The same content under another resourceVersion."""
    if entry.raw:
        return entry._replace(rv=rv)
    obj = entry.object()
    obj["metadata"]["resourceVersion"] = str(rv)
    return entry._replace(rv=rv, body=dumps(obj))


def event_line(kind: str, obj: bytes) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (kind.encode(), obj)


class Watcher:
    """The buffer of one watch. `wake` is called, in any thread, when something was added."""

    def __init__(self, resource: Resource, match: Match, wake: Callable[[], None], limit: int = 0) -> None:
        self.resource, self.match, self.wake, self.limit = resource, match, wake, limit
        self.queue: Deque[bytes] = deque()
        self.overflow = False
        self.after = 0  # events up to this resourceVersion are not shown

    def offer(self, event: Event) -> None:
        line = event.line(self.match) if event.rv > self.after else None
        if line is None:
            return
        if self.limit and len(self.queue) >= self.limit:
            self.overflow = True
            self.wake()
            return
        self.queue.append(line)
        if len(self.queue) == 1:  # otherwise the reader is not done, and looks again before it sleeps
            self.wake()


class Store:
    def __init__(self, first_rv: int = 1, history: int = 200_000) -> None:
        self.lock = threading.RLock()
        self.rv = first_rv
        self.history_limit = history
        self.hooks: List[Callable[[Event], None]] = []
        self._objects: Dict[str, Dict[Key, Entry]] = {r.plural: {} for r in ALL}
        self._history: Dict[str, Deque[Event]] = {r.plural: deque() for r in ALL}
        self._floor: Dict[str, int] = {r.plural: first_rv for r in ALL}
        self._watchers: Dict[str, List[Watcher]] = {r.plural: [] for r in ALL}
        self._changed: Dict[str, int] = {r.plural: 0 for r in ALL}

    # -- reading ---------------------------------------------------------------------------------

    def get(self, plural: str, name: str, namespace: str = "") -> Optional[Entry]:
        with self.lock:
            return self._objects[plural].get((namespace, name))

    def snapshot(self, plural: str) -> Tuple[int, int, List[Entry]]:
        """(current resourceVersion, change stamp of this resource, entries in key order)."""
        with self.lock:
            objects = self._objects[plural]
            return self.rv, self._changed[plural], [objects[key] for key in sorted(objects)]

    def snapshot_at(self, plural: str, rv: int) -> List[Entry]:
        """The state at exactly `rv`; ApiError when it is compacted or in the future."""
        with self.lock:
            self.check_rv(plural, rv)
            objects = dict(self._objects[plural])
            for event in reversed(self._history[plural]):
                if event.rv <= rv:
                    break
                if event.prev is not None:
                    objects[(event.prev.namespace, event.prev.name)] = event.prev
                elif event.entry is not None:
                    objects.pop((event.entry.namespace, event.entry.name), None)
            return [objects[key] for key in sorted(objects)]

    def check_rv(self, plural: str, rv: int) -> None:
        if rv > self.rv:
            raise errors.too_large(rv, self.rv)
        if rv < self._floor[plural]:
            raise errors.too_old(rv, self._floor[plural])

    # -- writing ---------------------------------------------------------------------------------

    def put(self, plural: str, obj: Dict[str, Any]) -> Entry:
        """Creates or replaces an object; an unchanged one keeps its resourceVersion, as in etcd."""
        resource = BY_PLURAL[plural]
        with self.lock:
            given = obj.get("metadata") or {}
            namespace = given.get("namespace", "default") if resource.namespaced else ""
            name = given["name"]
            prev = self._objects[plural].get((namespace, name))
            metadata = {"name": name}
            if namespace:
                metadata["namespace"] = namespace
            metadata.update(self._identity(prev))
            metadata.update({k: v for k, v in given.items() if k not in ("uid", "creationTimestamp")})
            content = {k: v for k, v in obj.items() if k not in ("kind", "apiVersion", "metadata")}
            if prev is not None:
                metadata["resourceVersion"] = str(prev.rv)
                if dumps({"metadata": metadata, **content}) == prev.body:
                    return prev
            metadata["resourceVersion"] = str(self.rv + 1)
            body = dumps({"metadata": metadata, **content})
            return self._commit(resource, namespace, name, metadata.get("labels") or {}, body)

    def put_raw(
        self, plural: str, body: bytes, name: str = "raw", namespace: str = "default",
        labels: Optional[Mapping[str, str]] = None,
    ) -> Entry:
        """Stores bytes that need not be an object at all. They are sent as they are, in lists and in
        events; `name`, `namespace` and `labels` are what selectors see."""
        resource = BY_PLURAL[plural]
        with self.lock:
            return self._commit(resource, namespace if resource.namespaced else "", name, labels or {}, body, True)

    def load(self, plural: str, objects: Iterable[Dict[str, Any]]) -> int:
        """Puts many objects; returns how many."""
        count = 0
        with self.lock:
            for obj in objects:
                self.put(plural, obj)
                count += 1
        return count

    def delete(self, plural: str, name: str, namespace: str = "") -> Optional[Entry]:
        with self.lock:
            prev = self._objects[plural].pop((namespace, name), None)
            if prev is not None:
                self.rv += 1
                self._publish(Event(BY_PLURAL[plural], self.rv, None, prev))
            return prev

    # -- history ---------------------------------------------------------------------------------

    def compact(self, plural: Optional[str] = None) -> int:
        """Forgets all history; a watch from an older resourceVersion than the current gets 410."""
        with self.lock:
            for one in [plural] if plural else list(self._history):
                self._history[one].clear()
                self._floor[one] = self.rv
            return self.rv

    def touch(self, by: int = 1) -> int:
        """Moves the counter as writes of unrelated objects would; the answer is the new value."""
        with self.lock:
            self.rv += by
            return self.rv

    def renumber(self, first_rv: int = 1) -> int:
        """A restored etcd: the same objects with low resourceVersions, no history."""
        with self.lock:
            self.rv = first_rv
            for plural, objects in self._objects.items():
                for key in sorted(objects):
                    self.rv += 1
                    objects[key] = at_rv(objects[key], self.rv)
                self._history[plural].clear()
                self._changed[plural] += 1
            self._floor = {plural: self.rv for plural in self._floor}
            return self.rv

    # -- watching --------------------------------------------------------------------------------

    def watch(self, watcher: Watcher, rv: int, future: bool = False) -> int:
        """Registers a watcher from `rv`; 0 means the present state as ADDED events. Returns the
        resourceVersion that the watcher has reached, or raises ApiError (too old, or too large unless
        `future`: then it sees nothing until the counter has passed `rv`)."""
        plural = watcher.resource.plural
        with self.lock:
            if rv == 0:
                for entry in self.snapshot(plural)[2]:
                    if watcher.match(entry):
                        watcher.queue.append(event_line("ADDED", entry.alone(watcher.resource)))
            elif future and rv > self.rv:
                watcher.after = rv
            else:
                self.check_rv(plural, rv)
                missed: List[Event] = []
                for event in reversed(self._history[plural]):
                    if event.rv <= rv:
                        break
                    missed.append(event)
                for event in reversed(missed):
                    line = event.line(watcher.match)
                    if line is not None:
                        watcher.queue.append(line)
            self._watchers[plural].append(watcher)
            return self.rv

    def unwatch(self, watcher: Watcher) -> None:
        with self.lock:
            watchers = self._watchers[watcher.resource.plural]
            if watcher in watchers:
                watchers.remove(watcher)

    def watchers(self, plural: Optional[str] = None) -> int:
        with self.lock:
            return sum(len(ws) for name, ws in self._watchers.items() if plural in (None, name))

    # -- internals -------------------------------------------------------------------------------

    def _identity(self, prev: Optional[Entry]) -> Dict[str, Any]:
        if prev is not None and not prev.raw:
            old = prev.object()["metadata"]
            return {k: old[k] for k in ("uid", "resourceVersion", "creationTimestamp")}
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return {"uid": str(uuid.uuid4()), "resourceVersion": "0", "creationTimestamp": now}

    def _commit(
        self, resource: Resource, namespace: str, name: str, labels: Mapping[str, str], body: bytes,
        raw: bool = False,
    ) -> Entry:
        self.rv += 1
        objects = self._objects[resource.plural]
        prev = objects.get((namespace, name))
        entry = objects[(namespace, name)] = Entry(namespace, name, self.rv, labels, body, raw)
        self._publish(Event(resource, self.rv, entry, prev))
        return entry

    def _publish(self, event: Event) -> None:
        plural = event.resource.plural
        self._changed[plural] += 1
        history = self._history[plural]
        history.append(event)
        while len(history) > self.history_limit:
            self._floor[plural] = history.popleft().rv
        for watcher in self._watchers[plural]:
            watcher.offer(event)
        for hook in self.hooks:
            hook(event)
