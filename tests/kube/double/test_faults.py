# SPDX-License-Identifier: Apache-2.0
"""Every fault of the double does on the wire what faults.py says."""
import json
import socket
import time
from typing import Any, Iterator, List

import pytest

from tests.kube.double import Double
from tests.kube.double.wire import SERVICE, SERVICES, SLICES, Client, fetch, get, slice_object, watch


@pytest.fixture
def api() -> Iterator[Double]:
    with Double() as server:
        yield server


@pytest.mark.parametrize(
    "kind, args, status, content_type, retry_after",
    [
        ("http_429", {"retry_after": "3"}, 429, "text/plain", "3"),
        ("http_503", {}, 503, "application/json", "1"),
        ("http_503", {"retry_after": "-99999999999999999999"}, 503, "application/json", "-99999999999999999999"),
        ("http_5xx", {"code": 502}, 502, "application/json", None),
        ("http_410", {}, 410, "application/json", None),
        ("too_large", {}, 504, "application/json", "1"),
        ("unauthorized", {}, 401, "application/json", None),
        ("forbidden", {}, 403, "application/json", None),
        ("redirect", {"location": "http://192.0.2.9/"}, 307, "text/html", None),
        ("html", {}, 200, "text/html", None),
        ("status", {"code": 418, "body": "{}"}, 418, "application/json", None),
    ],
)
def test_whole_answers(api: Double, kind: str, args: Any, status: int, content_type: str, retry_after: Any) -> None:
    api.fault(kind, "services", "list", **args)
    found, headers, _body = fetch(api, SERVICES)
    assert (found, headers["Content-Type"].split(";")[0], headers.get("Retry-After")) == (status, content_type, retry_after)
    assert fetch(api, SERVICES)[0] == 200  # once
    assert [r.fault for r in api.requests("services")] == [kind, ""]


def test_fault_is_for_its_resource_and_verb(api: Double) -> None:
    api.fault("http_5xx", "services", "watch", times=2)
    assert fetch(api, SERVICES)[0] == 200 and fetch(api, SLICES + "?watch=true&timeoutSeconds=1")[0] == 200
    assert [fetch(api, SERVICES + "?watch=true&timeoutSeconds=1")[0] for _ in range(3)] == [500, 500, 200]


def test_ends_of_a_connection(api: Double) -> None:
    api.put("services", SERVICE)
    api.fault("accept_close")
    with pytest.raises((EOFError, OSError)):
        Client(api).send(SERVICES).head()
    api.fault("close")
    with pytest.raises(EOFError):
        Client(api).send(SERVICES).head()
    for kind, ending in (("rst", ConnectionResetError), ("fin", EOFError)):
        api.fault(kind, "services", "list")
        client = Client(api).send(SERVICES)
        assert client.head()[0] == 200
        with pytest.raises(ending):
            while True:
                client.chunk()


def test_breaks_in_the_middle_of_an_event(api: Double) -> None:
    for kind, ending in (("rst", ConnectionResetError), ("fin", EOFError)):
        client = watch(api)
        api.fault(kind, "endpointslices", "watch")
        api.put("endpointslices", slice_object("s-" + kind, ips=("10.244.0.1",)))
        half = b""
        with pytest.raises(ending):
            while True:
                half += client.chunk()
        assert half in (b"", half) and b"\n" not in half


def test_silence(api: Double) -> None:
    client = watch(api)
    api.fault("stall", "endpointslices", "watch")
    api.wait(lambda: not api.faults.pending())
    api.put("endpointslices", slice_object("s"))
    client.sock.settimeout(0.3)
    with pytest.raises(socket.timeout):
        client.chunk()
    api.fault("stall_headers", "services")
    client = Client(api, timeout=0.3).send(SERVICES)
    with pytest.raises(socket.timeout):
        client.head()


def test_a_delay_costs_nothing_but_time(api: Double) -> None:
    api.fault("delay", "services", seconds=0.3)
    began = time.monotonic()
    assert Client(api).send(SERVICES).head()[0] == 200
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(
    "kind, args, expected",
    [
        ("error_410", {}, ("ERROR", 410)), ("error_500", {}, ("ERROR", 500)),
        ("error", {"code": 429, "reason": "TooManyRequests"}, ("ERROR", 429)), ("unknown_type", {}, ("REPLACED", None)),
        ("line", {"data": '{"type":"X","object":{}}\n'}, ("X", None)),
    ],
)
def test_events_on_an_open_watch(api: Double, kind: str, args: Any, expected: Any) -> None:
    client = watch(api)
    api.fault(kind, "endpointslices", "watch", **args)
    event, = client.events(1)
    assert (event["type"], event["object"].get("code")) == expected


def test_shapes_of_an_event(api: Double) -> None:
    for number, kind in enumerate(("bytes", "utf8", "drip", "duplicate")):
        client = watch(api)
        api.fault(kind, "endpointslices", "watch", seconds=0.001, count=50)
        obj = slice_object("s%d" % number)
        obj["metadata"]["annotations"] = {"text": "ä€😀"}
        api.put("endpointslices", obj)
        pieces: List[bytes] = []
        while b"".join(pieces).count(b"\n") < (2 if kind == "duplicate" else 1):
            pieces.append(client.chunk())
        events = [json.loads(line) for line in b"".join(pieces).splitlines()]
        assert all(e["object"]["metadata"]["annotations"] == {"text": "ä€😀"} for e in events)
        assert len(pieces) > 3 or kind == "duplicate"
        assert len(events) == (2 if kind == "duplicate" else 1)
        if kind == "utf8":
            with pytest.raises(UnicodeDecodeError):
                pieces[0].decode()
        client.close()


def test_bad_json(api: Double) -> None:
    api.put("services", SERVICE)
    for kind in ("truncate", "garbage"):
        api.fault(kind, "services", "list")
        status, _headers, body = fetch(api, SERVICES)
        assert status == 200
        with pytest.raises(ValueError):
            json.loads(body)
    api.put_raw("services", b'{"metadata":7}', "odd")
    assert b'{"metadata":7}' in fetch(api, SERVICES)[2]
    client = watch(api, SERVICES)
    api.put_raw("services", b'["not","an","object"]', "odd")
    assert client.events(1)[0]["object"] == ["not", "an", "object"]


@pytest.mark.parametrize("kind", ["infinite_body", "endless_line", "endless_header", "endless_headers"])
def test_floods_end_when_the_client_leaves(api: Double, kind: str) -> None:
    api.fault(kind, "services", "list")
    client = Client(api).send(SERVICES)
    received = 0
    while received < 4 << 20:
        received += len(client.sock.recv(1 << 20))
    client.close()
    api.wait(lambda: api.requests("services")[0].end is not None)
    assert api.requests("services")[0].bytes_sent < 64 << 20


def test_refused_and_restored(api: Double) -> None:
    api.put("services", SERVICE)
    api.store.touch(1000)
    port, client, before = api.port, watch(api), api.store.rv
    with api.refused():
        with pytest.raises(ConnectionResetError):
            client.chunk()
        with pytest.raises(ConnectionRefusedError):
            Client(api)
    assert api.port == port
    api.restart(first_rv=5)
    _status, found = get(api, SERVICES)
    assert int(found["metadata"]["resourceVersion"]) < before
    api.set(too_large_wait=0.01, future_watch="error")
    assert watch(api, SERVICES, rv=before).events(1)[0]["object"]["code"] == 504
