# SPDX-License-Identifier: Apache-2.0
"""The double keeps to the protocol of a real API server; its faults are tested in double/test_faults.py.

On loopback; needs no namespace.
"""
import hashlib
import json
import os
import ssl
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Dict, Iterator, List
from urllib.parse import quote

import pytest

from tests.kube.double import Double
from tests.kube.double.tls import Authority
from tests.kube.double.wire import NAME_LABEL, SERVICE, SERVICES, SLICES, Client, fetch, get, pod_object, slice_object, watch

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def api() -> Iterator[Double]:
    with Double() as server:
        yield server


# -- list ------------------------------------------------------------------------------------------


def test_list_shape(api: Double) -> None:
    api.put("endpointslices", slice_object("empty"))
    status, found = get(api, SLICES)
    item = found["items"][0]
    assert status == 200 and found["kind"] == "EndpointSliceList" and found["apiVersion"] == "discovery.k8s.io/v1"
    assert "kind" not in item and "apiVersion" not in item
    assert item["endpoints"] is None and item["ports"] is None
    assert item["metadata"]["resourceVersion"] == found["metadata"]["resourceVersion"]
    status, alone = get(api, "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/empty")
    assert status == 200 and alone["kind"] == "EndpointSlice"
    assert get(api, SLICES.replace("endpointslices", "namespaces/other/endpointslices"))[1]["items"] == []


def test_pages_have_one_resource_version(api: Double) -> None:
    api.load("endpointslices", (slice_object("s%d" % n) for n in range(7)))
    _status, first = get(api, SLICES + "?limit=3")
    assert first["metadata"]["remainingItemCount"] == 4
    api.delete("endpointslices", "s5")
    api.put("endpointslices", slice_object("s9"))
    names, token = [i["metadata"]["name"] for i in first["items"]], first["metadata"]["continue"]
    while token:
        _status, page = get(api, SLICES + "?limit=3&continue=" + token)
        assert page["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]
        names += [i["metadata"]["name"] for i in page["items"]]
        token = page["metadata"].get("continue")
    assert names == ["s%d" % n for n in range(7)]


def test_watch_cache_knows_no_pages(api: Double) -> None:
    api.load("endpointslices", (slice_object("s%d" % n) for n in range(7)))
    assert len(get(api, SLICES + "?limit=3&resourceVersion=0")[1]["items"]) == 7
    api.set(page_at_rv0=True)
    assert len(get(api, SLICES + "?limit=3&resourceVersion=0")[1]["items"]) == 3


def test_expired_continue_offers_a_fresh_one(api: Double) -> None:
    api.load("endpointslices", (slice_object("s%d" % n) for n in range(4)))
    token = get(api, SLICES + "?limit=2")[1]["metadata"]["continue"]
    api.store.touch()
    api.store.compact()
    status, answer = get(api, SLICES + "?limit=2&continue=" + token)
    assert (status, answer["reason"], answer["code"]) == (410, "Expired", 410)
    status, rest = get(api, SLICES + "?limit=2&continue=" + answer["metadata"]["continue"])
    assert status == 200 and [i["metadata"]["name"] for i in rest["items"]] == ["s2", "s3"]


def test_list_at_a_resource_version(api: Double) -> None:
    then = api.put("endpointslices", slice_object("a")).rv
    api.put("endpointslices", slice_object("b"))
    exact = get(api, SLICES + "?resourceVersionMatch=Exact&resourceVersion=%d" % then)[1]
    assert [i["metadata"]["name"] for i in exact["items"]] == ["a"]
    assert exact["metadata"]["resourceVersion"] == str(then)
    assert len(get(api, SLICES + "?resourceVersion=%d" % then)[1]["items"]) == 2
    api.set(too_large_wait=0.05)
    status, answer = get(api, SLICES + "?resourceVersion=%d" % (api.store.rv + 1))
    assert (status, answer["reason"]) == (504, "Timeout")
    assert answer["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"
    assert get(api, SLICES + "?resourceVersion=x")[0] == 400


@pytest.mark.parametrize(
    "selector, expected",
    [
        (NAME_LABEL + "=web", "ab"), (NAME_LABEL + "==web", "ab"), (NAME_LABEL + "!=web", "cd"),
        (NAME_LABEL + " in (web,db)", "abc"), (NAME_LABEL + " notin (web)", "cd"), (NAME_LABEL, "abc"),
        ("!" + NAME_LABEL, "d"), (NAME_LABEL + " in (web, db),x=1", ""),
    ],
)
def test_label_selectors(api: Double, selector: str, expected: str) -> None:
    for name, service in (("a", "web"), ("b", "web"), ("c", "db"), ("d", "none")):
        obj = slice_object(name, service)
        if service == "none":
            del obj["metadata"]["labels"]
        api.put("endpointslices", obj)
    items = get(api, SLICES + "?labelSelector=" + quote(selector, safe=""))[1]["items"]
    assert "".join(i["metadata"]["name"] for i in items) == expected


def test_field_selectors_and_bad_ones(api: Double) -> None:
    api.load("endpointslices", (slice_object(n) for n in "ab"))
    items = get(api, SLICES + "?fieldSelector=metadata.name%3Db")[1]["items"]
    assert [i["metadata"]["name"] for i in items] == ["b"]
    assert get(api, SLICES + "?fieldSelector=spec.x%3Db")[0] == 400
    assert get(api, SLICES + "?labelSelector=a%20b")[0] == 400


def test_gzip_only_for_large_lists_that_ask(api: Double) -> None:
    api.load("endpointslices", (slice_object("s%d" % n) for n in range(1000)))
    assert "Content-Encoding" not in fetch(api, SLICES)[1]
    assert fetch(api, SLICES, **{"Accept-Encoding": "gzip"})[1]["Content-Encoding"] == "gzip"


# -- watch -----------------------------------------------------------------------------------------


def test_watch_events(api: Double) -> None:
    client = watch(api)
    made = api.put("endpointslices", slice_object("s", ips=("10.244.0.1",))).rv
    changed = api.put("endpointslices", slice_object("s", ips=("10.244.0.2",))).rv
    api.delete("endpointslices", "s")
    events = client.events(3)
    assert [e["type"] for e in events] == ["ADDED", "MODIFIED", "DELETED"]
    assert [int(e["object"]["metadata"]["resourceVersion"]) for e in events] == [made, changed, changed + 1]
    assert events[2]["object"]["endpoints"][0]["addresses"] == ["10.244.0.2"]
    assert events[2]["object"]["kind"] == "EndpointSlice"


def test_unchanged_object_makes_no_event(api: Double) -> None:
    first = api.put("endpointslices", slice_object("s")).rv
    assert api.put("endpointslices", slice_object("s")).rv == first == api.store.rv


def test_watch_resumes_behind_a_resource_version(api: Double) -> None:
    first = api.put("endpointslices", slice_object("a")).rv
    api.put("endpointslices", slice_object("b"))
    api.put("endpointslices", slice_object("c"))
    events = watch(api, rv=first).events(2)
    assert [e["object"]["metadata"]["name"] for e in events] == ["b", "c"]
    assert [e["type"] for e in watch(api, rv=0).events(3)] == ["ADDED"] * 3


def test_selector_changes_are_added_and_deleted(api: Double) -> None:
    api.put("endpointslices", slice_object("s", "web"))
    web = watch(api, labelSelector=NAME_LABEL + "=web")
    db = watch(api, labelSelector=NAME_LABEL + "=db")
    moved = api.put("endpointslices", slice_object("s", "db")).rv
    gone, = web.events(1)
    come, = db.events(1)
    assert (gone["type"], come["type"]) == ("DELETED", "ADDED")
    assert gone["object"]["metadata"]["labels"] == {NAME_LABEL: "web"}
    assert int(gone["object"]["metadata"]["resourceVersion"]) == moved


def test_bookmarks(api: Double) -> None:
    api.set(bookmark_interval=0.05)
    client = watch(api, allowWatchBookmarks="true")
    api.store.touch(5)
    event, = client.events(1)
    assert event["type"] == "BOOKMARK" and event["object"]["endpoints"] is None
    assert event["object"]["metadata"] == {"resourceVersion": str(api.store.rv)}
    silent = watch(api, timeoutSeconds=1)
    assert silent.chunk() == b""  # not asked for: none, and a clean end


def test_bookmark_before_the_deadline_then_clean_end_and_reuse(api: Double) -> None:
    api.set(bookmark_before_deadline=0.8)
    started = time.monotonic()
    client = watch(api, timeoutSeconds=1, allowWatchBookmarks="true")
    assert client.events(1)[0]["type"] == "BOOKMARK"
    assert client.chunk() == b""
    assert 0.9 < time.monotonic() - started < 3
    assert client.send(SLICES).head()[0] == 200  # the connection is kept


def test_headers_are_flushed_at_once(api: Double) -> None:
    client = watch(api)  # asserts the head
    assert api.open_watches("endpointslices") == 1
    client.close()


def test_client_that_leaves_is_noticed(api: Double) -> None:
    client = watch(api)
    client.close()
    api.wait(lambda: api.open_watches() == 0)


def test_compaction(api: Double) -> None:
    old = api.put("endpointslices", slice_object("a")).rv
    api.put("endpointslices", slice_object("b"))
    open_one = watch(api)
    api.store.compact()
    client = watch(api, rv=old)
    event, = client.events(1)
    assert event["type"] == "ERROR" and event["object"]["code"] == 410 and event["object"]["reason"] == "Expired"
    assert event["object"]["message"] == "too old resource version: %d (%d)" % (old, api.store.rv)
    assert client.chunk() == b""
    api.put("endpointslices", slice_object("c"))
    assert open_one.events(1)[0]["type"] == "ADDED"  # an open watch is not affected
    api.set(watch_errors_as_http=True)
    assert get(api, SLICES + "?watch=true&resourceVersion=%d" % old)[0] == 410


def test_watch_from_the_future(api: Double) -> None:
    ahead = api.store.rv + 2
    client = watch(api, rv=ahead)
    for name in "abc":
        api.put("endpointslices", slice_object(name))
    assert client.events(1)[0]["object"]["metadata"]["name"] == "c"
    api.set(too_large_wait=0.05, future_watch="error")
    event, = watch(api, rv=api.store.rv + 100).events(1)
    assert (event["object"]["code"], event["object"]["reason"]) == (504, "Timeout")


def test_watch_list(api: Double) -> None:
    api.put("endpointslices", slice_object("a"))
    target = SLICES + "?watch=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&allowWatchBookmarks=true"
    status, answer = get(api, target)
    assert status == 422 and "sendInitialEvents is forbidden for watch" in answer["message"]
    api.set(watch_list=True)
    client = Client(api).send(target)
    assert client.head()[0] == 200
    added, mark = client.events(1) + client.events(1)
    assert added["type"] == "ADDED"
    assert mark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


def test_slow_reader_is_closed(api: Double) -> None:
    api.set(watch_buffer=10)
    api.put("endpointslices", slice_object("a", ips=("10.244.0.1",)))
    client = watch(api)
    api.burst("endpointslices", "a", 1000)
    with pytest.raises((EOFError, ValueError, AssertionError)):
        while True:
            assert client.chunk()
    assert api.counts("endpointslices", "watch") == 1


# -- writes, discovery, auth -------------------------------------------------------------------------


def test_writes(api: Double) -> None:
    base = "/api/v1/namespaces/default/services"
    status, made = api.request("POST", base, {"metadata": {"name": "web"}, "spec": {"ports": [{"port": 80}]}})
    assert status == 201 and made["spec"]["clusterIP"].startswith("10.96.")
    assert made["spec"]["ports"][0] == {"port": 80, "protocol": "TCP", "targetPort": 80}
    assert api.request("POST", base, {"metadata": {"name": "web"}})[0] == 409
    status, patched = api.request("PATCH", base + "/web", {"metadata": {"labels": {"a": "b"}}})
    assert status == 200 and patched["metadata"]["labels"] == {"a": "b"}
    made["spec"]["sessionAffinity"] = "ClientIP"
    assert api.request("PUT", base + "/web", made)[1]["reason"] == "Conflict"
    assert api.request("DELETE", base + "/web")[0] == 200
    assert api.request("GET", base + "/web")[1]["message"] == 'services "web" not found'
    assert api.request("POST", base.replace("default", "nowhere"), {"metadata": {"name": "x"}})[0] == 404


def test_loopback_endpoints_are_refused(api: Double) -> None:
    base = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices"
    status, answer = api.request("POST", base, slice_object("s", ips=("127.0.0.1",)))
    assert status == 422 and "may not be in the loopback range" in answer["message"]


def test_discovery_and_absent_resources(api: Double) -> None:
    assert get(api, "/version")[1]["major"] == "1"
    assert fetch(api, "/readyz")[2] == b"ok"
    assert get(api, "/apis")[1]["groups"][0]["name"] == "discovery.k8s.io"
    assert fetch(api, "/api/v1/widgets")[0] == 404
    api.absent.add("endpointslices")
    assert fetch(api, SLICES)[::2] == (404, b"404 page not found\n")
    assert fetch(api, "/api/v1/endpoints")[1]["Warning"].startswith("299 - ")


def test_tokens(api: Double) -> None:
    old = api.auth.add_token("old-token")
    assert get(api, SLICES)[1] == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
        "message": "Unauthorized", "reason": "Unauthorized", "code": 401,
    }
    assert get(api, SLICES, "old-token")[0] == 200
    new = api.auth.add_token("new-token")
    api.auth.revoke("old-token")
    assert get(api, SLICES, "old-token")[0] == 401
    assert get(api, SLICES, "new-token")[0] == 200
    assert [r.token for r in api.requests("endpointslices")] == [None, old, None, new]
    shown = "".join(r.headers.get("authorization", "") for r in api.requests())
    assert "-token" not in shown and hashlib.sha256(b"new-token").hexdigest()[:8] in shown


def test_denials(api: Double) -> None:
    api.auth.add_token("t", "system:serviceaccount:demo:x")
    api.auth.deny("endpointslices", "list", "demo")
    status, answer = get(api, "/apis/discovery.k8s.io/v1/namespaces/demo/endpointslices", "t")
    assert (status, answer["reason"]) == (403, "Forbidden")
    assert answer["message"] == (
        'endpointslices.discovery.k8s.io is forbidden: User "system:serviceaccount:demo:x" cannot list resource '
        '"endpointslices" in API group "discovery.k8s.io" in the namespace "demo"'
    )
    assert get(api, SLICES, "t")[0] == 200
    api.auth.allow_all()
    api.auth.restrict("system:serviceaccount:demo:x", ["list"], ["services"])
    assert (get(api, SERVICES, "t")[0], get(api, SLICES, "t")[0]) == (200, 403)


def test_tls(tmp_path: Path) -> None:
    with Double(tls=True, state_dir=tmp_path) as api:
        assert api.tls
        ca = api.tls.ca_file
        assert Client(api, ca).send("/readyz").head()[0] == 200
        for mode in ("wrong_ca", "wrong_san"):
            api.tls.use(mode)
            with pytest.raises(ssl.SSLCertVerificationError):
                Client(api, ca)
        api.tls.use("good")
        api.tls.rotate(publish=False)
        with pytest.raises(ssl.SSLCertVerificationError):
            Client(api, ca)
        api.tls.publish()
        assert Client(api, ca).send("/readyz").head()[0] == 200
        api.fault("slow_handshake", seconds=0.3)
        started = time.monotonic()
        Client(api, ca)
        assert time.monotonic() - started > 0.25


# -- controller --------------------------------------------------------------------------------------


def slices_of(api: Double) -> List[Dict[str, Any]]:
    return [s for s in api.list("endpointslices") if s["metadata"]["labels"][NAME_LABEL] == "web"]


def test_controller_placeholder_then_endpoints(api: Double) -> None:
    api.put("nodes", {"metadata": {"name": "n1", "labels": {"topology.kubernetes.io/zone": "z1"}}})
    api.put("services", SERVICE)
    placeholder, = slices_of(api)
    assert placeholder["endpoints"] is None and placeholder["ports"] is None
    api.put("pods", pod_object("p", "10.244.0.9"))
    found, = slices_of(api)
    assert found["metadata"]["name"] == placeholder["metadata"]["name"]
    assert found["metadata"]["labels"] == {
        "team": "a", NAME_LABEL: "web", "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    endpoint, = found["endpoints"]
    assert endpoint["conditions"] == {"ready": True, "serving": True, "terminating": False}
    assert (endpoint["addresses"], endpoint["nodeName"], endpoint["zone"]) == (["10.244.0.9"], "n1", "z1")
    assert endpoint["targetRef"]["name"] == "p"
    assert found["ports"] == [{"name": "http", "protocol": "TCP", "port": 8080}]
    endpoints = api.get("endpoints", "web")
    assert endpoints and endpoints["subsets"][0]["addresses"][0]["ip"] == "10.244.0.9"
    api.delete("pods", "p")
    assert slices_of(api)[0]["endpoints"] is None
    api.delete("services", "web")
    assert api.list("endpointslices") == [] and api.get("endpoints", "web") is None


def test_controller_conditions(api: Double) -> None:
    api.put("services", SERVICE)
    api.put("pods", pod_object("p", "10.244.0.9", ready=False))
    assert slices_of(api)[0]["endpoints"][0]["conditions"] == {"ready": False, "serving": False, "terminating": False}
    endpoints = api.get("endpoints", "web")
    assert endpoints and "addresses" not in endpoints["subsets"][0] and endpoints["subsets"][0]["notReadyAddresses"]
    api.put("pods", pod_object("p", "10.244.0.9"))
    api.request("DELETE", "/api/v1/namespaces/default/pods/p")
    assert slices_of(api)[0]["endpoints"][0]["conditions"] == {"ready": False, "serving": True, "terminating": True}
    api.request("DELETE", "/api/v1/namespaces/default/pods/p?gracePeriodSeconds=0")
    assert slices_of(api)[0]["endpoints"] is None


def test_controller_several_slices(api: Double) -> None:
    api.put("services", SERVICE)
    with api.controller.paused():
        for n in range(150):
            api.put("pods", pod_object("p%d" % n, "10.244.1.%d" % n))
        api.put("pods", pod_object("other", "10.244.2.1", port=9090))
    shapes = sorted((len(s["endpoints"]), s["ports"][0]["port"]) for s in slices_of(api))
    assert shapes == [(1, 9090), (50, 8080), (100, 8080)]


# -- size and the program ------------------------------------------------------------------------------


def test_100_000_endpoints(api: Double) -> None:
    started = time.monotonic()
    ips = ["10.%d.%d.%d" % (n >> 16, n >> 8 & 255, n & 255) for n in range(100_000)]
    api.load("services", ({"metadata": {"name": "s%d" % n}, "spec": {}} for n in range(10_000)))
    api.load("endpointslices", (slice_object("e%d" % n, ips=tuple(ips[n * 100 : n * 100 + 100])) for n in range(1000)))
    body = fetch(api, SLICES)[2]
    assert len(json.loads(body)["items"]) == 1000 and len(get(api, SERVICES)[1]["items"]) == 10_000
    again = time.monotonic()
    assert fetch(api, SLICES)[2] == body
    assert time.monotonic() - again < 1.0
    assert time.monotonic() - started < 20


def test_burst_and_many_watchers(api: Double) -> None:
    api.put("endpointslices", slice_object("s", ips=("10.244.0.1",)))
    clients = [watch(api) for _ in range(200)]
    last = api.burst("endpointslices", "s", 100)
    for client in clients:
        events = client.events(100)
        assert [int(e["object"]["metadata"]["resourceVersion"]) for e in events] == list(range(last - 99, last + 1))
        client.close()


def test_stand_alone_program(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "tests.kube.double", "--until-eof", "--set", "bookmark_interval=1"]
    program = subprocess.Popen(
        command, cwd=str(ROOT), stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, "PYTHONPATH": str(ROOT)})
    assert program.stdin and program.stdout
    try:
        told = json.loads(program.stdout.readline())

        def command_(do: str, *args: Any, **kwargs: Any) -> Any:
            connection = HTTPConnection(told["control"].split("//")[1], timeout=10)
            connection.request("POST", "/", json.dumps({"do": do, "args": args, "kwargs": kwargs}))
            return json.loads(connection.getresponse().read())

        command_("put", "services", SERVICE)
        command_("fault", "http_5xx", "services", "list")
        for status in (500, 200):
            connection = HTTPConnection(told["url"].split("//")[1], timeout=10)
            connection.request("GET", SERVICES)
            assert connection.getresponse().status == status
        assert command_("counts", "services", "list") == {"result": 2}
        assert "unknown command" in command_("nonsense")["error"]
    finally:
        program.stdin.close()
        assert program.wait(10) == 0
        program.stdout.close()


def test_connections_that_come_at_once_have_one_certificate(tmp_path: Path) -> None:
    authority = Authority(tmp_path / "tls", "127.0.0.1")
    with ThreadPoolExecutor(8) as threads:
        contexts = list(threads.map(lambda _: authority.context(), range(8)))
    assert all(context is contexts[0] for context in contexts), contexts
