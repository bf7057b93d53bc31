# SPDX-License-Identifier: Apache-2.0
"""The endpoints library of k8slb.h, on a real API server and on the double."""
import errno
import threading
import time
from collections import Counter
from typing import Any, Callable, Iterator

import pytest

from tests.endpoints.library import AUTO, ENDPOINT_SLICES, ENDPOINTS, Endpoints, LibraryError
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster


@pytest.fixture
def endpoints(build: Build) -> Iterator[Callable[..., Endpoints]]:
    made = []

    def make(cluster: Any = None, **config: Any) -> Endpoints:
        if cluster is not None:
            env = cluster.env("web")
            config = {"api_addr": env["K8SLB_API"], "ca_file": env.get("K8SLB_CA_FILE"), "token_file": env.get("K8SLB_TOKEN_FILE"), **config}
        config.setdefault("retry_delay_ms", 300)
        made.append(Endpoints(build.directory / "libk8slb-endpoints.so", **config))
        return made[-1]

    yield make
    for one in made:
        one.free()


def three_pods(cluster: Cluster) -> Any:
    service = cluster.create_service("web")
    pods = [cluster.add_pod(f"web-{i}", {"app": "web"}) for i in range(3)]
    cluster.wait_endpoints(service, 3)
    # The Endpoints object is written by a controller of its own, which may be later.
    wait_until("the Endpoints object", lambda: endpoints_object_size(cluster) == 3, lambda: endpoints_object_size(cluster))
    return service, pods


def endpoints_object_size(cluster: Cluster) -> int:
    _, found = cluster.request("GET", "/api/v1/namespaces/default/endpoints/web")
    return sum(len(subset.get("addresses") or []) for subset in found.get("subsets") or [])


@pytest.mark.parametrize("discovery", [AUTO, ENDPOINT_SLICES, ENDPOINTS])
def test_round_robin_over_what_one_sync_found(cluster: Cluster, endpoints: Any, discovery: int) -> None:
    _, pods = three_pods(cluster)
    lb = endpoints(cluster, service="web", discovery=discovery)
    lb.sync()
    expect(lb.all(), {(pod.ip, pod.port) for pod in pods}, lb.messages)
    expect(Counter(lb.next() for _ in range(300)), Counter({(pod.ip, pod.port): 100 for pod in pods}), lb.messages)


@pytest.mark.parametrize("discovery", [ENDPOINT_SLICES, ENDPOINTS])
def test_the_background_sync_follows_the_service(cluster: Cluster, endpoints: Any, discovery: int) -> None:
    service, pods = three_pods(cluster)
    lb = endpoints(cluster, service="web", discovery=discovery)
    lb.start()
    lb.sync()
    expect(len(lb.all()), 3, lb.messages)
    cluster.delete_pod(pods[0])
    wait_until("two endpoints", lambda: len(lb.all()) == 2, lb.all)
    new = cluster.add_pod("web-9", {"app": "web"})
    wait_until("the new endpoint", lambda: (new.ip, new.port) in lb.all(), lb.all)
    for pod in (pods[1], pods[2], new):
        cluster.set_ready(pod, False)
    wait_until("no endpoint", lambda: not lb.all(), lb.all)
    with pytest.raises(LibraryError) as none_ready:
        lb.next()
    expect(none_ready.value.code, errno.ENOENT, lb.messages)
    cluster.set_ready(new, True)
    wait_until("the new endpoint alone", lambda: lb.all() == {(new.ip, new.port)}, lb.all)


@pytest.mark.parametrize("discovery", [ENDPOINT_SLICES, ENDPOINTS])
def test_a_service_that_appears_later_is_found(cluster: Cluster, endpoints: Any, discovery: int) -> None:
    lb = endpoints(cluster, service="web", discovery=discovery, sync_interval_ms=300)
    lb.start()
    lb.sync()
    expect(lb.all(), set(), lb.messages)
    three_pods(cluster)
    wait_until("three endpoints", lambda: len(lb.all()) == 3, lb.all)


def test_a_deleted_service_has_no_endpoint(cluster: Cluster, endpoints: Any) -> None:
    service, _ = three_pods(cluster)
    lb = endpoints(cluster, service="web", discovery=ENDPOINTS)
    lb.start()
    lb.sync()
    expect(len(lb.all()), 3, lb.messages)
    cluster.delete_service(service)
    wait_until("no endpoint", lambda: not lb.all(), lb.all)


@pytest.mark.clusters("double")
def test_endpoints_serve_where_slices_are_forbidden(cluster: Any, endpoints: Any) -> None:
    three_pods(cluster)
    cluster.server.auth.deny("endpointslices")
    lb = endpoints(cluster, service="web")
    lb.start()
    lb.sync()
    expect(len(lb.all()), 3, lb.messages)
    expect(len(cluster.server.requests("endpoints", "list")), 1, cluster.server.requests())
    assert any("403" in message for message in lb.messages), lb.messages


@pytest.mark.clusters("double")
def test_the_last_endpoints_survive_the_api_server(cluster: Any, endpoints: Any) -> None:
    _, pods = three_pods(cluster)
    lb = endpoints(cluster, service="web")
    lb.start()
    lb.sync()
    cluster.stop_api()
    try:
        wait_until("a message", lambda: bool(lb.messages))
        expect(len(lb.all()), 3, lb.messages)
        lb.next()
    finally:
        cluster.start_api()
    cluster.delete_pod(pods[0])
    wait_until("two endpoints", lambda: len(lb.all()) == 2, lambda: (lb.all(), lb.messages))


@pytest.mark.clusters("double")
def test_a_failed_sync_says_why_and_keeps_the_last_endpoints(cluster: Any, endpoints: Any) -> None:
    three_pods(cluster)
    lb = endpoints(cluster, service="web", discovery=ENDPOINT_SLICES)
    lb.sync()
    cluster.server.auth.deny("endpointslices")
    with pytest.raises(LibraryError) as failure:
        lb.sync()
    expect(failure.value.code, errno.EIO, failure.value.text)
    assert "403" in failure.value.text, failure.value.text
    expect(len(lb.all()), 3, lb.messages)


def test_before_any_sync_there_is_nothing(endpoints: Any) -> None:
    lb = endpoints(service="web", api_addr="127.0.0.1:1")
    for call in (lb.next, lb.all):
        with pytest.raises(LibraryError) as early:
            call()
        expect(early.value.code, errno.EAGAIN)


@pytest.mark.parametrize(
    "config, word",
    [
        ({}, "service"),
        ({"service": "Web"}, "service"),
        ({"service": "w" * 64}, "service"),
        ({"service": "web", "k8s_namespace": "a/b"}, "k8s_namespace"),
        ({"service": "web", "port_name": "no_port"}, "port_name"),
        ({"service": "web", "discovery": 7}, "discovery"),
        ({"service": "web", "api_addr": "ftp://127.0.0.1"}, "ftp"),
        ({"service": "web", "api_addr": "http://user@127.0.0.1"}, "user"),
        ({"service": "web", "api_addr": "in-cluster"}, "KUBERNETES_SERVICE_HOST"),
    ],
)
def test_a_wrong_configuration_is_told_by_its_name(endpoints: Any, monkeypatch: pytest.MonkeyPatch, config: Any, word: str) -> None:
    monkeypatch.delenv("KUBERNETES_SERVICE_HOST", raising=False)
    with pytest.raises(LibraryError) as wrong:
        endpoints(**config)
    expect(wrong.value.code, errno.EINVAL, wrong.value.text)
    assert word in wrong.value.text, wrong.value.text


@pytest.mark.clusters("double")
def test_shutdown_is_quick_and_repeatable(cluster: Any, endpoints: Any) -> None:
    three_pods(cluster)
    lb = endpoints(cluster, service="web")
    lb.start()
    lb.sync()
    with pytest.raises(LibraryError) as twice:
        lb.start()
    expect(twice.value.code, errno.EALREADY)
    started = time.monotonic()
    lb.shutdown()
    lb.shutdown()
    assert time.monotonic() - started < 0.5
    expect(len(lb.all()), 3)
    for call in (lb.start, lb.sync):
        with pytest.raises(LibraryError) as late:
            call()
        expect(late.value.code, errno.ESHUTDOWN)


@pytest.mark.clusters("double")
def test_many_threads_may_ask_while_it_syncs(cluster: Any, endpoints: Any) -> None:
    _, pods = three_pods(cluster)
    known = {(pod.ip, pod.port) for pod in pods}
    lb = endpoints(cluster, service="web")
    lb.sync()
    seen: Counter = Counter()
    problems = []

    def ask() -> None:
        try:
            mine = Counter(lb.next() for _ in range(500))
            assert lb.all() <= known
            seen.update(mine)
        except Exception as error:  # a thread's exception would pass unseen
            problems.append(error)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    lb.start()
    for thread in threads:
        thread.join()
    expect(problems, [])
    expect(set(seen), known)


@pytest.mark.clusters("real")
def test_the_example_asks_each_pod_in_turn_through_kubectl_proxy(cluster: Any, build: Build, run_shim: ShimRunner) -> None:
    three_pods(cluster)
    with cluster.kubectl_proxy() as address:
        result = run_shim(
            [build.directory / "examples" / "hello", "-a", address, "-n", "6", "web"],
            env={"LD_LIBRARY_PATH": str(build.directory)},
            preload=False,
        )
    expect(result.returncode, 0, result)
    answers = Counter(line.split(": ")[1] for line in result.stdout.splitlines())
    expect(answers, Counter({f"web-{i}": 2 for i in range(3)}), result)
