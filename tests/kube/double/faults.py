# SPDX-License-Identifier: Apache-2.0
"""Faults on command: which exist, and the queue that hands each out `times` times.

Stage      consulted                                             kinds
accept     when a TCP connection was accepted, before TLS        ACCEPT
request    before anything of the request is evaluated           REQUEST; namespace=NAME: of this one alone
body       when a 200 answer to list or get is written           BODY
watch      at once on an open watch, else on the next one        BODY except truncate, and WATCH; namespace=NAME as above
           (rst, fin and duplicate wait for an event unless now=True)
"""
from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any, Callable, Dict, FrozenSet, List, Optional

ACCEPT = frozenset({
    "accept_close",    # RST (rst=True) or FIN right after accept
    "slow_handshake",  # seconds=N before the TLS handshake goes on; None: never
})
REQUEST = frozenset({
    "close",           # FIN instead of an answer
    "delay",           # the answer seconds=N later
    "stall_headers",   # no answer for seconds=N, then FIN; None: until the client leaves
    "status",          # code, body, content_type, headers as given
    "http_429",        # text/plain as of API priority and fairness; retry_after
    "http_503",        # Status JSON; retry_after
    "http_5xx",        # code, no Retry-After
    "http_410",        # plain HTTP status 410 with a Status
    "too_large",       # 504 ResourceVersionTooLarge
    "unauthorized",    # 401 whatever the token
    "forbidden",       # 403 whatever the rules
    "redirect",        # 307 to location
    "html",            # the page of a captive proxy, with status code
    "raw",             # data instead of a whole answer, then FIN
    "endless_header",  # one header field that does not end, up to limit bytes
    "endless_headers", # header fields without end, up to limit bytes
})
BODY = frozenset({
    "rst",             # RST in the middle of the body, or of an event
    "fin",             # FIN there
    "stall",           # silence there, connection open; in a watch: silence from now on
    "drip",            # count bytes each seconds=N
    "bytes",           # every byte its own chunk
    "utf8",            # chunks end inside of multi-byte characters
    "truncate",        # well-formed HTTP, half of the JSON
    "garbage",         # data that is not JSON
    "endless_line",    # a JSON string that does not end, up to limit bytes
    "infinite_body",   # valid items, or bookmarks, up to limit bytes
})
WATCH = frozenset({
    "error",           # ERROR event: code, reason, message
    "error_410",
    "error_500",
    "unknown_type",    # an event of a type that does not exist
    "line",            # data as it is; the caller writes the newline
    "duplicate",       # the next event twice
    "end",             # clean end of the stream, as at a timeout
})
EVENT_ONLY = frozenset({"rst", "fin", "duplicate"})
KINDS = ACCEPT | REQUEST | BODY | WATCH

FLOOD = 1 << 30  # bytes: an infinite body ends here even if the client never closes


@dataclass
class Fault:
    kind: str
    resource: Optional[str] = None  # plural; None: any
    verb: Optional[str] = None  # list, watch, get, ...; None: any
    times: Optional[int] = 1  # None: until cleared
    args: Dict[str, Any] = field(default_factory=dict)
    used: int = 0

    def get(self, name: str, default: Any = None) -> Any:
        return self.args.get(name, default)


class FaultQueue:
    def __init__(self, changed: Callable[[], None]) -> None:
        self._lock = threading.Lock()
        self._faults: List[Fault] = []
        self._changed = changed

    def add(self, fault: Fault) -> Fault:
        if fault.kind not in KINDS:
            raise ValueError("unknown fault %r; known: %s" % (fault.kind, ", ".join(sorted(KINDS))))
        with self._lock:
            self._faults.append(fault)
        self._changed()
        return fault

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()

    def pending(self) -> List[Fault]:
        with self._lock:
            return list(self._faults)

    def take(
        self, kinds: FrozenSet[str], resource: str = "", verb: str = "",
        accept: Callable[[Fault], bool] = lambda _fault: True,
    ) -> Optional[Fault]:
        """The first fault of these kinds that covers the request, counted as used."""
        if not self._faults:
            return None
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or fault.resource not in (None, resource):
                    continue
                if fault.verb not in (None, verb) or not accept(fault):
                    continue
                fault.used += 1
                if fault.times is not None and fault.used >= fault.times:
                    self._faults.remove(fault)
                return fault
        return None
