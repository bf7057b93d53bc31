# SPDX-License-Identifier: Apache-2.0
"""The caller's own address is the last endpoint of every list: at once after what only a pod's address causes on this host, and when no
pod is left to be tried. A listener at the VIP stands for kube-proxy; no connection is lost that it would have served."""
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence, Tuple
from urllib.parse import urlsplit

import pytest

from tests import shared
from tests.e2e.common import hold_table, stand_in
from tests.failover.common import EARLY_MS, TIMEOUT_MS, Firewall, client, connections, no_route, refuse, route_again, sysctl
from tests.harness import Result, ShimRunner, expect
from tests.kube import namespace as netns
from tests.kube.cluster import Cluster, Pod, Service
from tests.preload.common import python, web
from tests.preload.test_family import dual_stack, needs_ipv6

pytestmark = pytest.mark.clusters("double")

FENCE = Path(__file__).with_name("fence.py")
LACKING = 77
POD_NETWORKS = f"{netns.POD_NETWORK},{netns.POD_NETWORK_V6}"
WAYS = ("blocking", "polling")


def reach(port: int, hosts: Sequence[object], *options: object) -> List[str]:
    """The command line of reach.py."""
    words = (Path(__file__).with_name("reach.py"), *options, port, *hosts)
    return [sys.executable, *(str(word) for word in words)]


def told(result: Result) -> List[Tuple[str, ...]]:
    expect((result.returncode, result.stderr), (0, ""), result)
    return [tuple(line.split()) for line in result.stdout.splitlines()]


def answers(result: Result) -> "Counter[str]":
    return Counter(line[2] for line in told(result))


def fence(cluster: Cluster, kind: str) -> List[str]:
    """The command line that puts a command behind this fence: it reaches VIPs and the API server, and no pod."""
    rule = f"80,{urlsplit(cluster.url).port}" if kind == "landlock" else POD_NETWORKS
    command = [sys.executable, str(FENCE), kind, rule]
    tried = subprocess.run([*command, "true"], capture_output=True, text=True)
    if tried.returncode == LACKING:
        pytest.skip(tried.stderr.strip())
    return command


FENCES = ("landlock", "seccomp", "cgroup")


@needs_ipv6
@pytest.mark.unsanitized("the sanitizers' runtime is in fence.py too")
@pytest.mark.parametrize("attempts", ["1", "3"])
@pytest.mark.parametrize("kind", FENCES)
def test_a_fence_around_the_pods(cluster: Cluster, run_shim: ShimRunner, kind: str, attempts: str) -> None:
    """In all families and both ways; so with one attempt too: it was our address that was refused."""
    service, _pods = dual_stack(cluster, "IPv4", "IPv6")
    four, six = sorted(service.vips, key=lambda vip: ":" in vip)
    cluster.add_pod("vip", {"app": "stand-in-for-kube-proxy"}, ip=(four, six), port=80)
    hosts = [four, f"::ffff:{four}", six]

    command = [*fence(cluster, kind), *reach(80, hosts)]
    result = run_shim(command, env=cluster.env("web", K8SLB_ATTEMPTS=attempts))

    expect(told(result), [(host, way, "vip", host) for way in WAYS for host in hosts], result)


@pytest.mark.unsanitized("the sanitizers' runtime is in fence.py too")
def test_what_a_fence_refused_is_not_asked_again(cluster: Cluster, run_shim: ShimRunner, tmp_path: Path) -> None:
    """Each pod once; a second process asks for itself."""
    service, pods = web(cluster)
    stand_in(cluster, service)
    log = tmp_path / "denied"
    command = [*fence(cluster, "seccomp"), *reach(80, [service.vip], "--count", 20)]

    for _process in range(2):
        log.write_text("")
        result = run_shim(command, env=cluster.env("web", FENCE_LOG=str(log)))

        expect(answers(result), Counter(vip=40), result)
        expect(Counter(log.read_text().split("\n")[:-1]), Counter(f"denied {pod.ip}" for pod in pods), result)


@pytest.mark.unsanitized("the sanitizers' runtime is in fence.py too")
@pytest.mark.parametrize("kind", FENCES)
@pytest.mark.parametrize(
    "program",
    [
        ["curl", "-sS", "http://{vip}/"],
        ["bash", "-c", "exec 3<>/dev/tcp/{vip}/80; echo WHO >&3; head -n 1 <&3"],
        ["perl", "-MIO::Socket::INET", "-e", '$s = IO::Socket::INET->new(PeerAddr => "{vip}:80", Timeout => 9) or die "$@ $!"; print $s "WHO\n"; print scalar <$s>'],
        ["socat", "-T5", "-", "TCP:{vip}:80"],
    ],
    ids=lambda program: program[0],
)
def test_programs_behind_a_fence(cluster: Cluster, run_shim: ShimRunner, kind: str, program: List[str]) -> None:
    service, _pods = web(cluster)
    stand_in(cluster, service)
    words = [word.replace("{vip}", str(service.vip)) for word in program]

    result = run_shim([*fence(cluster, kind), *words], env=cluster.env("web"), stdin="WHO\n")

    expect((result.returncode, result.stdout), (0, "vip\n"), result)


@contextmanager
def routes(kind: str, pods: Sequence[Pod]) -> Iterator[None]:
    for pod in pods:
        no_route(kind, pod)
    try:
        yield
    finally:
        for pod in pods:
            route_again(kind, pod)


@pytest.mark.parametrize("kind", ["blackhole", "throw"])
def test_a_pod_that_has_no_route_here(cluster: Cluster, run_shim: ShimRunner, kind: str) -> None:
    """EINVAL, ENETUNREACH: at once, while other pods keep their share."""
    service, pods = web(cluster)
    stand_in(cluster, service)

    with routes(kind, pods[:1]):
        result = run_shim(reach(80, [service.vip], "--count", 15), env=cluster.env("web"))

    expect(answers(result), Counter({"vip": 10, "web-1": 10, "web-2": 10}), result)


def test_one_source_port_for_two_services_of_one_pod(cluster: Cluster, run_shim: ShimRunner) -> None:
    """To the kernel both are one connection: EADDRNOTAVAIL for the second."""
    services = [cluster.create_service(name, selector={"app": "web"}) for name in ("web", "other")]
    cluster.add_pod("web-0", {"app": "web"})
    for service in services:
        cluster.wait_endpoints(service, 1)
        cluster.add_pod(f"vip-{service.name}", {"app": "none"}, ip=service.vip, port=80)
    command = reach(80, [service.vip for service in services], "--source", 15000, "--count", 5, "--hold")

    result = run_shim(command, env=cluster.env("web,other"))

    expect(answers(result), Counter({"web-0": 10, "vip-other": 10}), result)


@pytest.mark.parametrize("way", WAYS)
def test_more_connections_than_local_ports(cluster: Cluster, run_shim: ShimRunner, way: str) -> None:
    service, _pods = web(cluster, pods=1)
    stand_in(cluster, service)

    # Outside of the range as it was: a listener of this test may have been given any port in that one.
    with sysctl("ip_local_port_range", "10000 10059"):
        command = reach(80, [service.vip], "--count", 70, "--hold", "--way", way)
        result = run_shim(command, env=cluster.env("web"))

    expect(answers(result), Counter({"web-0": 60, "vip": 10}), result)


def test_an_out_of_date_table_that_refuses(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster, pods=5)
    stand_in(cluster, service)
    refuse(*pods)

    result = run_shim(client(10, service.name, 80), env=cluster.env("web"))

    expect([one.result for one in connections(result)], ["vip"] * 10, result)
    expect([one for one in connections(result) if one.ms > TIMEOUT_MS * 0.9], [], result)


@pytest.mark.parametrize("count", [1, 2])
def test_an_out_of_date_table_that_is_silent(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall, count: int) -> None:
    """A pod alone is bounded as well: it is not the last endpoint."""
    service, pods = web(cluster, pods=count)
    stand_in(cluster, service)
    firewall.drop(*pods)

    result = run_shim(client(1, service.name, 80), env=cluster.env("web"))

    (only,) = connections(result)
    expect(only.result, "vip", result)
    assert only.ms >= (TIMEOUT_MS - EARLY_MS) * count, result


@pytest.mark.parametrize("way", WAYS)
def test_no_pod_has_a_route(cluster: Cluster, run_shim: ShimRunner, way: str) -> None:
    """EHOSTUNREACH, which the kernel tells at once: a socket that does not block goes on in the same call too."""
    service, pods = web(cluster, pods=2)
    stand_in(cluster, service)

    with routes("unreachable", pods):
        result = run_shim(reach(80, [service.vip], "--count", 5, "--way", way), env=cluster.env("web"))
    expect(answers(result), Counter(vip=5), result)

    shared.forget()
    hold_table(run_shim, cluster)
    route_again("unreachable", pods[0])
    netns.add_address(pods[0].ip)
    with routes("unreachable", pods[1:]):
        result = run_shim(reach(80, [service.vip], "--count", 5, "--way", way), env=cluster.env("web"))
    expect(answers(result), Counter({"web-0": 5}), result)


def test_nothing_serves_the_vip(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    """K8SLB_FALLBACK=none: the last pod has the time that the kernel gives it, and its error is the program's."""
    service, pods = web(cluster, pods=2)
    stand_in(cluster, service)
    env: Dict[str, str] = cluster.env("web", K8SLB_FALLBACK="none")
    refuse(*pods)

    refused = run_shim(client(3, service.name, 80), env=env)
    firewall.drop(*pods)
    shared.forget()
    with sysctl("tcp_syn_retries", 1):
        dropped = run_shim(client(1, service.name, 80), env=env)

    expect([one.result for one in connections(refused)], ["ECONNREFUSED"] * 3, refused)
    (only,) = connections(dropped)
    expect((only.result, only.ms > TIMEOUT_MS * 3), ("ETIMEDOUT", True), dropped)


def test_a_send_timeout_counts_for_the_vip_too(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    """1.5 s for a silent pod and a silent VIP: what the pod left is the VIP's, and the connection goes on there."""
    service, pods = web(cluster, pods=1)
    vip = stand_in(cluster, service)
    firewall.drop(*pods, vip)
    code = (
        "import errno, socket, struct, sys, time\n"
        "socket.gethostbyname('web')\n"
        "with socket.socket() as s:\n"
        "    s.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, struct.pack('ll', 1, 500000))\n"
        "    began = time.monotonic()\n"
        "    error = errno.errorcode[s.connect_ex((sys.argv[1], 80))]\n"
        "    ms = (time.monotonic() - began) * 1000\n"
        "    left = s.getsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, 16)\n"
        "    print(error, 1400 < ms, struct.unpack('ll', left), s.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT))\n"
        "    again = errno.errorcode[s.connect_ex((sys.argv[1], 80))]\n"
        "    print(again)\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expect(result.stdout, "EINPROGRESS True (1, 500000) 0\nEALREADY\n", result)


MPTCP = (
    "import errno, socket, sys, time\n"
    "socket.gethostbyname(sys.argv[3])\n"
    "with socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262) as s:\n"
    "    began = time.monotonic()\n"
    "    error = s.connect_ex((sys.argv[1], int(sys.argv[2])))\n"
    "    name = errno.errorcode.get(error)\n"
    "    if not error:\n"
    "        s.sendall(b'WHO\\n')\n"
    "        name = s.makefile().readline().strip()\n"
    "    print(name, time.monotonic() - began)\n"
)


def test_a_try_that_cannot_be_bounded_is_the_only_one(cluster: Cluster, run_shim: ShimRunner, firewall: Firewall) -> None:
    """MPTCP knows no TCP_USER_TIMEOUT. Three silent pods and a silent VIP cost as much as one address; what refuses costs nothing."""
    service, pods = web(cluster)
    vip = stand_in(cluster, service)
    refuse(*pods)
    refused = run_shim(python(MPTCP, service.vip, 80, "web"), env=cluster.env("web"))
    expect(refused.stdout.split()[0], "vip", refused)

    shared.forget()
    firewall.drop(*pods, vip)
    with sysctl("tcp_syn_retries", 1):
        plain = run_shim.start(python(MPTCP, service.vip, 80, service.vip), preload=False)
        shimmed = run_shim.start(python(MPTCP, service.vip, 80, "web"), env=cluster.env("web"))
        (_error, plain_s), (error, seconds) = (run.wait().stdout.split() for run in (plain, shimmed))

    expect(error, "ETIMEDOUT", shimmed.result())
    assert float(seconds) < float(plain_s) + 1, (plain.result(), shimmed.result())


def sticky(cluster: Cluster, pods: int = 2) -> Tuple[Service, List[Pod]]:
    return web(cluster, pods=pods, sessionAffinity="ClientIP")


@pytest.mark.parametrize("way", WAYS)
def test_a_client_with_affinity_that_was_served_gets_no_vip(cluster: Cluster, run_shim: ShimRunner, way: str) -> None:
    service, pods = sticky(cluster)
    stand_in(cluster, service)
    served = run_shim(reach(80, [service.vip], "--way", way), env=cluster.env("web"))
    refuse(*pods)

    result = run_shim(reach(80, [service.vip], "--count", 3), env=cluster.env("web"))

    assert told(served)[0][2] in {"web-0", "web-1"}, served
    expect(answers(result), Counter(ECONNREFUSED=6), result)


def test_a_client_with_affinity_that_went_to_the_vip_stays_there(cluster: Cluster, run_shim: ShimRunner) -> None:
    """All processes of it, though the pods are back."""
    service, pods = sticky(cluster)
    stand_in(cluster, service)
    refuse(*pods)
    fallen = run_shim(reach(80, [service.vip], "--way", "blocking"), env=cluster.env("web"))
    for pod in pods:
        for listener in pod.listeners:
            listener.start()

    stays = run_shim(reach(80, [service.vip], "--count", 3), env=cluster.env("web"))

    expect(answers(fallen), Counter(vip=1), fallen)
    expect(answers(stays), Counter(vip=6), stays)


def test_the_affinity_to_the_vip_ends(cluster: Cluster, run_shim: ShimRunner) -> None:
    config = {"clientIP": {"timeoutSeconds": 1}}
    service, pods = web(cluster, pods=1, sessionAffinity="ClientIP", sessionAffinityConfig=config)
    stand_in(cluster, service)
    refuse(*pods)
    fallen = run_shim(reach(80, [service.vip], "--way", "blocking"), env=cluster.env("web"))
    pods[0].listeners[0].start()
    # Each connection begins the time anew: the second one comes after it.
    code = "import sys, time; sys.argv = sys.argv[1:]; time.sleep(1.1); exec(open(sys.argv[0]).read())"

    result = run_shim(python(code, *reach(80, [service.vip])[1:]), env=cluster.env("web"))

    expect(answers(fallen), Counter(vip=1), fallen)
    expect(answers(result), Counter({"web-0": 2}), result)
