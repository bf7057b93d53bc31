# SPDX-License-Identifier: Apache-2.0
"""The request log: what clients asked, when, and what they got."""
from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import asdict, dataclass, field
from typing import Any, Dict, List, Optional


@dataclass
class Record:
    """One request. `time` and `end` are time.monotonic(); `end` is None while it is answered."""

    time: float
    method: str
    path: str
    query: Dict[str, str]
    headers: Dict[str, str]
    resource: str = ""
    verb: str = ""
    namespace: str = ""
    name: str = ""
    user: str = ""
    token: Optional[int] = None  # index of the known token that was used
    status: int = 0
    bytes_sent: int = 0
    end: Optional[float] = None
    fault: str = ""
    peer: str = field(default="", compare=False)


class RequestLog:
    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._records: List[Record] = []
        self.connections = 0

    def begin(self, method: str, path: str, query: Dict[str, str], headers: Dict[str, str], peer: str) -> Record:
        record = Record(time.monotonic(), method, path, query, _redacted(headers), peer=peer)
        with self._lock:
            self._records.append(record)
        return record

    def records(self, resource: Optional[str] = None, verb: Optional[str] = None, since: float = 0) -> List[Record]:
        with self._lock:
            return [
                r
                for r in self._records
                if r.time >= since and resource in (None, r.resource) and verb in (None, r.verb)
            ]

    def as_dicts(self, **kwargs: Any) -> List[Dict[str, Any]]:
        return [asdict(record) for record in self.records(**kwargs)]

    def clear(self) -> None:
        with self._lock:
            self._records.clear()
            self.connections = 0


def _redacted(headers: Dict[str, str]) -> Dict[str, str]:
    """The headers with the credential replaced by the first 8 hex digits of its SHA-256."""
    shown = dict(headers)
    value = shown.get("authorization")
    if value is not None:
        scheme, _, secret = value.partition(" ")
        shown["authorization"] = scheme + " sha256:" + hashlib.sha256(secret.encode("latin-1")).hexdigest()[:8]
    return shown
