# SPDX-License-Identifier: Apache-2.0
"""What the faults of the request and body stages put on the wire."""
from __future__ import annotations

from typing import Dict

from . import errors
from .errors import ApiError
from .faults import FLOOD, Fault
from .http import Connection, Drop, Stream
from .resources import Resource, dumps

GARBAGE = b"\x00\xff\xfe]}{[\"\\u12" + bytes(range(1, 10)) + b"NaN,\n"
HTML = b"<!DOCTYPE html><html><head><title>Log in</title></head><body>Please log in.</body></html>\n"
THROTTLED = b"Too many requests, please try again later.\n"
JSON_FIELDS = [("Content-Type", "application/json"), ("Cache-Control", "no-cache, private")]


async def answer_request(conn: Connection, fault: Fault, resource: Resource, verb: str, namespace: str) -> bool:
    """Answers a request by a REQUEST fault. False: the connection must be closed."""
    kind = fault.kind
    if kind == "close":
        raise Drop(rst=bool(fault.get("rst")))
    if kind == "stall_headers":
        await conn.until_gone(fault.get("seconds"))
        raise Drop(rst=False)
    if kind == "raw":
        await conn.write(fault.get("data", GARBAGE))
        return False
    if kind in ("endless_header", "endless_headers"):
        await _endless_headers(conn, fault)
        return False
    if kind == "status":
        body = fault.get("body", b"")
        await conn.answer(
            int(fault.get("code", 500)), body.encode() if isinstance(body, str) else body,
            fault.get("content_type", "application/json"), _strings(fault.get("headers")))
    elif kind == "redirect":
        location = fault.get("location", "http://192.0.2.1/")
        await conn.answer(307, b"", "text/html; charset=utf-8", {"Location": location})
    elif kind == "html":
        await conn.answer(int(fault.get("code", 200)), HTML, "text/html; charset=utf-8")
    elif kind == "http_429":
        await conn.answer(429, THROTTLED, "text/plain; charset=utf-8", _retry_after(fault))
    else:
        error = _error(fault, resource, verb, namespace)
        await conn.answer_json(error.code, error.status, error.headers)
    return True


def _error(fault: Fault, resource: Resource, verb: str, namespace: str) -> ApiError:
    kind = fault.kind
    if kind == "http_503":
        error = ApiError(503, "ServiceUnavailable", "apiserver is shutting down", headers=_retry_after(fault))
    elif kind == "http_410":
        error = ApiError(410, fault.get("reason", "Expired"), "too old resource version: 1 (100)")
    elif kind == "too_large":
        error = errors.too_large(1 << 40, 1)
    elif kind == "unauthorized":
        error = errors.unauthorized()
    elif kind == "forbidden":
        error = errors.forbidden("system:serviceaccount:default:default", verb, resource, namespace)
    else:
        error = ApiError(int(fault.get("code", 500)), "InternalError", "Internal error occurred: requested by a test")
    return error


def _retry_after(fault: Fault) -> Dict[str, str]:
    value = fault.get("retry_after", "1")
    return {} if value is None else {"Retry-After": str(value)}


def _strings(headers: object) -> Dict[str, str]:
    return {str(k): str(v) for k, v in headers.items()} if isinstance(headers, dict) else {}


async def _endless_headers(conn: Connection, fault: Fault) -> None:
    await conn.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n")
    piece = b"x" * 16384 if fault.kind == "endless_header" else b"X-Padding: 0123456789\r\n" * 700
    if fault.kind == "endless_header":
        await conn.write(b"X-Padding: ")
    await _flood(conn.write, piece, int(fault.get("limit", FLOOD)))


async def answer_body(conn: Connection, fault: Fault, body: bytes, resource: Resource) -> bool:
    """Writes a 200 answer in the way of a BODY fault. False: the connection must be closed."""
    kind = fault.kind
    if kind == "truncate":
        await conn.answer(200, body[: int(fault.get("size", len(body) // 2))])
        return True
    if kind == "garbage":
        await conn.answer(200, fault.get("data", GARBAGE))
        return True
    stream = await conn.stream(200, JSON_FIELDS)
    if kind in ("drip", "bytes", "utf8"):
        set_shape(stream, fault)
        await stream.write(body)
        await stream.finish()
        return True
    if kind == "endless_line":
        await endless_line(stream, fault)
    elif kind == "infinite_body":
        item = resource.bookmark_object(1, {})
        await stream.write(resource.list_head({"resourceVersion": "1"}) + item)
        await _flood(stream.write, (b"," + item) * 100, int(fault.get("limit", FLOOD)))
    else:
        await stream.write(body[: int(fault.get("size", len(body) // 2))])
        await break_off(conn, fault)
    return False


def set_shape(stream: Stream, fault: Fault) -> None:
    stream.shape = fault.kind
    stream.drip_seconds = float(fault.get("seconds", 1.0))
    stream.drip_count = int(fault.get("count", 1))


async def endless_line(stream: Stream, fault: Fault) -> None:
    await stream.write(b'{"type":"ADDED","object":{"metadata":{"name":"')
    await _flood(stream.write, b"a" * 16384, int(fault.get("limit", FLOOD)))


async def flood_bookmarks(stream: Stream, fault: Fault, line: bytes) -> None:
    await _flood(stream.write, line * 100, int(fault.get("limit", FLOOD)))


async def break_off(conn: Connection, fault: Fault) -> None:
    """rst, fin or stall at this very byte."""
    if fault.kind == "stall":
        await conn.until_gone(fault.get("seconds"))
        raise Drop(rst=False)
    raise Drop(rst=fault.kind == "rst")


async def _flood(write: object, piece: bytes, limit: int) -> None:
    sent = 0
    while sent < limit:
        await write(piece)  # type: ignore[operator]
        sent += len(piece)


def error_line(fault: Fault) -> bytes:
    """The ERROR event of error, error_410 and error_500."""
    if fault.kind == "error_410":
        error = errors.too_old(int(fault.get("requested", 1)), int(fault.get("oldest", 100)))
    elif fault.kind == "error_500":
        error = ApiError(500, "InternalError", "Internal error occurred: etcd event received with PrevKv=nil")
    else:
        error = ApiError(int(fault.get("code", 500)), fault.get("reason", ""), fault.get("message", ""))
    return dumps({"type": "ERROR", "object": error.status}) + b"\n"
