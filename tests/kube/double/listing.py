# SPDX-License-Identifier: Apache-2.0
"""LIST: resourceVersion rules, limit and continue, bodies that are rendered once."""
from __future__ import annotations

import base64
import json
from collections import OrderedDict
from typing import Any, Dict, List, Mapping, NamedTuple, Tuple

from . import errors, selectors
from .resources import Resource, dumps
from .store import Entry, Match, Store

CACHED_BODIES = 32
INCONSISTENT = -1  # resourceVersion in a continue token that was handed out with a 410


class Selection(NamedTuple):
    """What a list or watch request asks for."""

    namespace: str
    label_text: str
    field_text: str
    match: Match

    @property
    def filtered(self) -> bool:
        return bool(self.label_text or self.field_text)


def selection(resource: Resource, namespace: str, query: Mapping[str, str], name: str = "") -> Selection:
    label_text, field_text = query.get("labelSelector", ""), query.get("fieldSelector", "")
    if name:
        field_text = (field_text + "," if field_text else "") + "metadata.name=" + name
    by_label, by_field = selectors.labels(label_text), selectors.fields(field_text)

    def match(entry: Entry) -> bool:
        if namespace and entry.namespace != namespace:
            return False
        if label_text and not by_label(entry.labels):
            return False
        return not field_text or by_field({"metadata.name": entry.name, "metadata.namespace": entry.namespace})

    return Selection(namespace, label_text, field_text, match)


class Lister:
    def __init__(self, store: Store) -> None:
        self.store = store
        self._bodies: "OrderedDict[Tuple[str, str, str, str], Tuple[int, bytes]]" = OrderedDict()

    def render(self, resource: Resource, wanted: Selection, query: Mapping[str, str], page_at_rv0: bool) -> bytes:
        """The body of a list answer; ApiError when it cannot be served."""
        limit = _limit(query)
        token = query.get("continue", "")
        rv_text = query.get("resourceVersion", "")
        match_rule = query.get("resourceVersionMatch", "")
        if token:
            return self._page(resource, wanted, limit, token)
        rv = parse_rv(rv_text)
        if match_rule and not rv_text:
            raise errors.bad_request("resourceVersionMatch is forbidden unless resourceVersion is provided")
        if rv > self.store.rv:
            raise errors.too_large(rv, self.store.rv)
        if rv and (match_rule == "Exact" or (limit and not match_rule)):
            entries = [e for e in self.store.snapshot_at(resource.plural, rv) if wanted.match(e)]
            return self._cut(resource, wanted, entries, rv, limit)
        if limit and rv_text == "0" and not page_at_rv0:
            limit = 0  # served from the watch cache, which knows no pages
        if limit:
            current, _stamp, entries = self.store.snapshot(resource.plural)
            return self._cut(resource, wanted, [e for e in entries if wanted.match(e)], current, limit)
        return self._whole(resource, wanted)

    def _whole(self, resource: Resource, wanted: Selection) -> bytes:
        current, stamp, entries = self.store.snapshot(resource.plural)
        key = (resource.plural, wanted.namespace, wanted.label_text, wanted.field_text)
        cached = self._bodies.get(key)
        if cached is None or cached[0] != stamp:
            cached = (stamp, b",".join(e.body for e in entries if wanted.match(e)) + b"]}\n")
            self._bodies[key] = cached
        self._bodies.move_to_end(key)
        while len(self._bodies) > CACHED_BODIES:
            self._bodies.popitem(last=False)
        return resource.list_head({"resourceVersion": str(current)}) + cached[1]

    def _page(self, resource: Resource, wanted: Selection, limit: int, token: str) -> bytes:
        rv, start = _decode(token)
        if rv == INCONSISTENT:
            rv, _stamp, entries = self.store.snapshot(resource.plural)
        else:
            try:
                entries = self.store.snapshot_at(resource.plural, rv)
            except errors.ApiError:
                raise errors.expired_continue(_encode(INCONSISTENT, start)) from None
        rest = [e for e in entries if (e.namespace, e.name) >= start and wanted.match(e)]
        return self._cut(resource, wanted, rest, rv, limit)

    @staticmethod
    def _cut(resource: Resource, wanted: Selection, entries: List[Entry], rv: int, limit: int) -> bytes:
        metadata: Dict[str, Any] = {"resourceVersion": str(rv)}
        if limit and len(entries) > limit:
            following = entries[limit]
            metadata["continue"] = _encode(rv, (following.namespace, following.name))
            if not wanted.filtered:  # with a selector the server does not know how many remain
                metadata["remainingItemCount"] = len(entries) - limit
            entries = entries[:limit]
        return resource.list_head(metadata) + b",".join(e.body for e in entries) + b"]}\n"


def parse_rv(text: str) -> int:
    if not text:
        return 0
    if not text.isdigit():
        raise errors.bad_request(
            'invalid resource version: resourceVersion: Invalid value: "%s": strconv.ParseUint: parsing "%s": invalid syntax'
            % (text, text)
        )
    return int(text)


def _limit(query: Mapping[str, str]) -> int:
    try:
        return max(0, int(query.get("limit") or "0"))
    except ValueError:
        raise errors.bad_request("limit: Invalid value: %r" % query.get("limit")) from None


def _encode(rv: int, start: Tuple[str, str]) -> str:
    token = dumps({"v": "meta.k8s.io/v1", "rv": rv, "start": "/".join(start)})
    return base64.urlsafe_b64encode(token).decode().rstrip("=")


def _decode(token: str) -> Tuple[int, Tuple[str, str]]:
    try:
        value = json.loads(base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)))
        namespace, _, name = value["start"].partition("/")
        return int(value["rv"]), (namespace, name)
    except (ValueError, KeyError, TypeError, AttributeError):
        raise errors.bad_request("invalid continue token: continue key is not valid: illegal base64 data") from None
