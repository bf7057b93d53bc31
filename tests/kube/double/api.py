# SPDX-License-Identifier: Apache-2.0
"""Routing, and the handlers of all verbs but watch."""
from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple

from . import defaults, errors, misbehave
from .faults import BODY, REQUEST
from .http import Connection, Request
from .listing import parse_rv, selection
from .resources import ALL, BY_PLURAL, Resource
from .watch import Watch

if TYPE_CHECKING:
    from .server import Double

VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete"}
WRITES = (*VERBS.values(), "deletecollection")
VERSION = {"major": "1", "minor": "37", "gitVersion": "v1.37.0-double", "platform": "linux/amd64"}
SUCCESS: Dict[str, Any] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
HEALTH = ("/healthz", "/readyz", "/livez")


class Route(NamedTuple):
    resource: Resource
    verb: str
    namespace: str
    name: str
    subresource: str


def route(req: Request) -> Optional[Route]:
    """What a path asks for; None when it is no resource path."""
    for resource_set in (("/apis/discovery.k8s.io/v1/", "discovery.k8s.io"), ("/api/v1/", "")):
        prefix, group = resource_set
        if req.path.startswith(prefix):
            break
    else:
        return None
    parts = req.path[len(prefix) :].strip("/").split("/")
    watching = req.query.get("watch") in ("true", "1")
    legacy_watch = parts[0] == "watch"
    if legacy_watch:
        parts = parts[1:]
    namespace = ""
    if len(parts) >= 3 and parts[0] == "namespaces" and parts[2] in BY_PLURAL:
        namespace, parts = parts[1], parts[2:]
    resource = BY_PLURAL.get(parts[0]) if parts else None
    if resource is None or resource.group != group or len(parts) > 3:
        return None
    name = parts[1] if len(parts) > 1 else ""
    subresource = parts[2] if len(parts) > 2 else ""
    if req.method in ("GET", "HEAD"):
        verb = "get" if name else "list"
        if legacy_watch or (watching and not name):
            verb = "watch"
    else:
        verb = VERBS.get(req.method, "")
        if verb == "delete" and not name:
            verb = "deletecollection"
    return Route(resource, verb, namespace, name, subresource)


class Api:
    def __init__(self, server: "Double") -> None:
        self.server = server

    async def serve(self, conn: Connection, req: Request) -> bool:
        """Answers one request. False: the connection must be closed."""
        where = route(req)
        if where is not None:
            log = req.log
            log.resource, log.verb = where.resource.plural, where.verb
            log.namespace, log.name = where.namespace, where.name
            fault = self.server.faults.take(
                REQUEST, where.resource.plural, where.verb, lambda one: one.get("namespace") in (None, where.namespace)
            )
            if fault is not None:
                log.fault = fault.kind
                if fault.kind != "delay":
                    return await misbehave.answer_request(conn, fault, where.resource, where.verb, where.namespace)
                await conn.until_gone(fault.get("seconds"))
        try:
            return await self._checked(conn, req, where)
        except errors.ApiError as error:
            await conn.answer_json(error.code, error.status, error.headers)
            return True

    async def _checked(self, conn: Connection, req: Request, where: Optional[Route]) -> bool:
        if req.path in HEALTH:
            await conn.answer(200, b"ok", "text/plain; charset=utf-8")
            return True
        certificate = conn.writer.get_extra_info("peercert")
        user, index = self.server.auth.authenticate(req.headers.get("authorization"), certificate)
        req.log.user, req.log.token = user, index
        if where is None or where.resource.plural in self.server.absent:
            document = self._discovery(req, where)
            if document is not None:
                await conn.answer_json(200, document)
            else:  # not even the API group: Go's mux answers, not the API machinery
                await conn.answer(404, b"404 page not found\n", "text/plain; charset=utf-8")
            return True
        self.server.auth.authorize(user, where.verb, where.resource, where.namespace, where.name)
        if where.verb == "watch":
            await self._watch(conn, req, where)
            return True
        if where.verb in ("list", "get"):
            return await self._read(conn, req, where)
        if where.verb in WRITES:
            status, obj = self._write(req, where)
            await conn.answer_json(status, obj, dict(self.server.warnings(where.resource)))
            return True
        raise errors.ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    # -- reading ---------------------------------------------------------------------------------

    async def _read(self, conn: Connection, req: Request, where: Route) -> bool:
        res = where.resource
        if where.verb == "list" and parse_rv(req.query.get("resourceVersion", "")) > self.server.store.rv:
            await conn.until_gone(self.server.settings.too_large_wait)
        body = self._content(req, where)
        fault = self.server.faults.take(BODY, res.plural, where.verb)
        if fault is not None:
            req.log.fault = fault.kind
            return await misbehave.answer_body(conn, fault, body, res)
        await conn.answer(200, body, headers=dict(self.server.warnings(res)))
        return True

    def _content(self, req: Request, where: Route) -> bytes:
        res = where.resource
        if where.verb == "list":
            wanted = selection(res, where.namespace, req.query)
            return self.server.lister.render(res, wanted, req.query, self.server.settings.page_at_rv0)
        entry = self.server.store.get(res.plural, where.name, where.namespace)
        if entry is None:
            raise errors.not_found(res, where.name)
        return entry.alone(res) + b"\n"

    def direct(self, method: str, target: str, body: bytes) -> Tuple[int, Any]:
        """A request of the test itself: any right, no fault, no trace in the log. (status, JSON)"""
        req = Request(method, target, {}, body)
        where = route(req)
        try:
            if where is None:
                return 200, self._discovery(req, where) or {}
            if where.verb in ("list", "get"):
                return 200, json.loads(self._content(req, where))
            if where.verb in WRITES:
                return self._write(req, where)
            raise errors.bad_request("%s is not possible here" % (where.verb or method))
        except errors.ApiError as error:
            return error.code, error.status

    async def _watch(self, conn: Connection, req: Request, where: Route) -> None:
        query, settings = req.query, self.server.settings
        initial = query.get("sendInitialEvents") in ("true", "1")
        if initial and not settings.watch_list:
            cause = "sendInitialEvents: Forbidden: sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled"
            raise errors.invalid("ListOptions", "meta.k8s.io", "", cause)
        if query.get("resourceVersionMatch") and not initial:
            cause = "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
            raise errors.invalid("ListOptions", "meta.k8s.io", "", cause)
        parse_rv(query.get("resourceVersion", ""))
        wanted = selection(where.resource, where.namespace, query, where.name)
        await Watch(self.server, conn, req, where.resource, wanted.match).run()

    # -- writing ---------------------------------------------------------------------------------

    def _write(self, req: Request, where: Route) -> Tuple[int, Dict[str, Any]]:
        body = _json_object(req.body) if req.body else {}
        with self.server.store.lock:
            if where.verb == "delete":
                return 200, self._delete(where, req, body)
            if where.verb == "deletecollection":
                wanted = selection(where.resource, where.namespace, req.query)
                for one in self.server.store.snapshot(where.resource.plural)[2]:
                    if wanted.match(one):
                        self._delete(where._replace(namespace=one.namespace, name=one.name), req, body)
                return 200, SUCCESS
            if where.verb == "create":
                return 201, self._create(where, body)
            entry = self.server.store.get(where.resource.plural, where.name, where.namespace)
            if entry is None:
                raise errors.not_found(where.resource, where.name)
            old = entry.object()
            if where.verb == "patch":
                new = merge(old, body)
            else:
                new = body
                new.setdefault("metadata", {}).setdefault("name", where.name)
            given_rv = (body.get("metadata") or {}).get("resourceVersion")
            if given_rv and given_rv != str(entry.rv):
                raise errors.conflict(where.resource, where.name)
            if where.subresource == "status":
                new = {**old, "status": new.get("status", {})}
            return 200, self._put(where, new)

    def _create(self, where: Route, obj: Dict[str, Any]) -> Dict[str, Any]:
        metadata = obj.setdefault("metadata", {})
        if not metadata.get("name") and metadata.get("generateName"):
            metadata["name"] = metadata["generateName"] + defaults.suffix()
        if not metadata.get("name"):
            raise errors.invalid(
                where.resource.kind, where.resource.group, "", "metadata.name: Required value: name or generateName is required")
        store = self.server.store
        if where.namespace and store.get("namespaces", where.namespace) is None:
            raise errors.not_found(BY_PLURAL["namespaces"], where.namespace)
        if store.get(where.resource.plural, metadata["name"], where.namespace) is not None:
            raise errors.already_exists(where.resource, metadata["name"])
        if where.resource.plural == "pods":
            obj.pop("status", None)  # written through the status subresource only
        return self._put(where, obj)

    def _put(self, where: Route, obj: Dict[str, Any]) -> Dict[str, Any]:
        if where.namespace:
            obj["metadata"]["namespace"] = where.namespace
        defaults.prepare(where.resource.plural, obj, self.server.allocator.cluster_ip)
        defaults.validate(where.resource.plural, obj)
        entry = self.server.store.put(where.resource.plural, obj)
        return _json_object(entry.alone(where.resource))

    def _delete(self, where: Route, req: Request, options: Dict[str, Any]) -> Dict[str, Any]:
        store, plural = self.server.store, where.resource.plural
        entry = store.get(plural, where.name, where.namespace)
        if entry is None:
            raise errors.not_found(where.resource, where.name)
        if plural == "pods":
            obj = entry.object()
            grace = options.get("gracePeriodSeconds", req.query.get("gracePeriodSeconds"))
            if grace is None:
                grace = obj["spec"].get("terminationGracePeriodSeconds", 30)
            if int(grace) > 0 and obj["spec"].get("nodeName"):
                # There is no kubelet: the pod stays terminating until it is deleted with grace 0.
                obj["metadata"]["deletionTimestamp"] = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
                obj["metadata"]["deletionGracePeriodSeconds"] = int(grace)
                return _json_object(store.put(plural, obj).alone(where.resource))
        store.delete(plural, where.name, where.namespace)
        return {**SUCCESS, "details": {"name": where.name, "kind": plural}}

    # -- discovery -------------------------------------------------------------------------------

    def _discovery(self, req: Request, where: Optional[Route]) -> Optional[Dict[str, Any]]:
        present = [r for r in ALL if r.plural not in self.server.absent]
        groups = sorted({r.group for r in present if r.group})
        documents: Dict[str, Any] = {
            "/version": VERSION,
            "/api": {"kind": "APIVersions", "versions": ["v1"]},
            "/apis": {"kind": "APIGroupList", "apiVersion": "v1", "groups": [_group(g) for g in groups]},
            "/api/v1": _resource_list("v1", [r for r in present if not r.group]),
        }
        for group in groups:
            documents["/apis/" + group] = {"kind": "APIGroup", "apiVersion": "v1", **_group(group)}
            documents["/apis/" + group + "/v1"] = _resource_list(group + "/v1", [r for r in present if r.group == group])
        document = documents.get(req.path.rstrip("/"))
        roots = ["/api/v1/"] + ["/apis/%s/" % group for group in groups]
        if document is None and any(req.path.startswith(root) for root in roots):
            raise errors.no_such_resource()
        return document


def _group(name: str) -> Dict[str, Any]:
    version = {"groupVersion": name + "/v1", "version": "v1"}
    return {"name": name, "versions": [version], "preferredVersion": version}


def _resource_list(version: str, resources: List[Resource]) -> Dict[str, Any]:
    verbs = ["create", "delete", "get", "list", "patch", "update", "watch"]
    found = [
        {"name": r.plural, "singularName": r.kind.lower(), "namespaced": r.namespaced, "kind": r.kind, "verbs": verbs}
        for r in resources
    ]
    return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": version, "resources": found}


def _json_object(body: bytes) -> Dict[str, Any]:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise errors.bad_request("error decoding request body: %s" % error) from None
    if not isinstance(value, dict):
        raise errors.bad_request("request body is not an object")
    return value


def merge(old: Any, patch: Any) -> Any:
    """JSON merge patch, RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merge(result.get(key), value)
    return result
