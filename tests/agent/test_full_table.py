# SPDX-License-Identifier: Apache-2.0
"""What does not fit: one tenant's objects by the thousand, and a table that cannot grow. Both are told, and neither looks fresh."""
import re
import resource
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.agent.common import Agent, Agents, reader_env
from tests.e2e.common import stand_in
from tests.harness import ShimRunner, expect, wait_until
from tests.kube.cluster import Service
from tests.kube.double_cluster import DoubleCluster
from tests.preload.common import client, web

pytestmark = pytest.mark.clusters("double")

LISTEN = ("--listen", "127.0.0.1:0")
PORTS = 256  # lib/base/limits.h: LIMIT_PORTS
SHARE = 64 * 1024  # LIMIT_NAMESPACE_PORTS
TABLE = 256 * 1024  # LIMIT_TABLE_PORTS
MANIFEST_MIB = 256  # deploy/agent-daemonset/agent.yaml
# So a limit of the size of files is an error to the program, and no signal.
WITHOUT_SIGNAL = ["sh", "-c", 'trap "" XFSZ; exec "$@"', "sh"]


def greedy(number: int) -> Dict[str, Any]:
    """A Service with as many ports as one can have."""
    vip = f"10.96.{100 + number // 250}.{number % 250 + 1}"
    ports = [{"name": f"p{port}", "port": port, "protocol": "TCP"} for port in range(1, PORTS + 1)]
    return {
        "metadata": {"name": f"greedy-{number:04}", "namespace": "greedy"},
        "spec": {"clusterIP": vip, "clusterIPs": [vip], "ipFamilies": ["IPv4"], "type": "ClusterIP", "ports": ports},
    }


def answers(run_shim: ShimRunner, service: Service, table: Path, **env: str) -> List[str]:
    result = run_shim(client(service.vip, service.port, 9), env=reader_env(table, "*/*", **env))
    expect(result.returncode, 0, result)
    return sorted(set(result.stdout.split()))


def peak_mib(agent: Agent) -> float:
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    return int((re.search(r"VmHWM:\s+(\d+) kB", status) or [0, "0"])[1]) / 1024


@pytest.fixture
def tenant(cluster: DoubleCluster) -> Iterator[int]:
    """One with so many Services of 256 ports that they would fill the table by themselves."""
    count = TABLE // PORTS + 100
    cluster.create_namespace("greedy")
    cluster.server.load("services", [greedy(number) for number in range(count)])
    yield count
    for number in range(count):
        cluster.server.delete("services", f"greedy-{number:04}", "greedy")


@pytest.mark.timeout(300)
@pytest.mark.unsanitized("a sanitizer's memory is not the agent's")
def test_one_tenant_has_its_share(
    cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path, tenant: int
) -> None:
    """Others' Services that come and change are served, and what is left out comes in again."""
    count = tenant
    agent = agents.run(cluster, table, "--all", *LISTEN)
    metrics = agent.metrics()
    left_out = count - SHARE // PORTS
    expect(metrics["k8slb_services_left_out"], left_out, agent.log()[-2000:])
    expect(agent.get("/healthz"), (200, f"ok, but {left_out} Services are left out: the table is full\n"))

    service, pods = web(cluster)
    stand_in(cluster, service)
    wait_until("the new Service", lambda: answers(run_shim, service, table) == [pod.name for pod in pods], agent.log)
    late = cluster.add_pod("web-late", {"app": "web"})
    wait_until("the new pod", lambda: late.name in answers(run_shim, service, table), agent.log)
    expect(peak_mib(agent) < MANIFEST_MIB, True, f"{peak_mib(agent):.0f} MiB")
    print(f"{peak_mib(agent):.0f} MiB with {count} Services of {PORTS} ports")

    for number in range(SHARE // PORTS):
        cluster.server.delete("services", f"greedy-{number:04}", "greedy")
        cluster.server.delete("services", f"greedy-{count - 1 - number:04}", "greedy")
    rest = max(0, count - 2 * (SHARE // PORTS) - SHARE // PORTS)
    wait_until("what was left out", lambda: agent.metrics()["k8slb_services_left_out"] == rest, agent.metrics)


def test_a_table_that_cannot_grow(cluster: DoubleCluster, agents: Agents, run_shim: ShimRunner, table: Path) -> None:
    """What readers have is not heard of any more, whatever the agent hears; it is well again when the cause ends."""
    cluster.server.set(bookmark_interval=0.3, leases=True)
    service, pods = web(cluster)
    stand_in(cluster, service)
    agent = agents.run(cluster, table, "--all", *LISTEN, by=WITHOUT_SIGNAL, env={"K8SLB_MAX_AGE": "60"})
    expect(answers(run_shim, service, table), [pod.name for pod in pods])
    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (1 << 20, resource.RLIM_INFINITY))
    bulk = [
        {
            "metadata": {"name": f"bulk-{i}", "namespace": "default", "labels": {"kubernetes.io/service-name": "bulk"}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [f"10.{200 + i}.{n // 250}.{n % 250 + 1}"], "conditions": {"ready": True}}
                          for n in range(1000)],
            "ports": [{"name": "http", "port": 8080, "protocol": "TCP"}],
        }
        for i in range(20)
    ]
    cluster.create_service("bulk", selector={})
    cluster.server.load("endpointslices", bulk)
    problem = (503, "the table cannot be published: File too large\n")
    wait_until("it is told", lambda: agent.get("/healthz") == problem, agent.log)
    wait_until("it ages", lambda: agent.metrics()["k8slb_last_heard_age_seconds"] >= 3, agent.log)
    metrics = agent.metrics()
    expect((metrics["k8slb_publish_failures_total"] > 0, metrics["k8slb_table_live"], metrics["k8slb_healthy"]), (True, 0, 0))
    expect(answers(run_shim, service, table, K8SLB_MAX_AGE="2"), ["vip"], agent.log())
    expect(agent.log().count("the table cannot be published"), 1, agent.log())

    resource.prlimit(agent.process.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    wait_until("it is well", lambda: agent.get("/healthz") == (200, "ok\n"), agent.log)
    late = cluster.add_pod("web-late", {"app": "web"})
    wait_until("the new pod", lambda: late.name in answers(run_shim, service, table), agent.log)
