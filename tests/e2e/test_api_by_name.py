# SPDX-License-Identifier: Apache-2.0
"""An API server that is given by a host name, as on AKS. A naive thread asks getaddrinfo(): it waits by resolv.conf's time-outs,
so that it cannot leave when it has to, and loads what nsswitch.conf names into the program. Ours asks by itself: /etc/hosts, then
DNS by resolv.conf, in the wait of its connections."""
import socket
from contextlib import closing
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping

import pytest

from tests.e2e.common import Follower, expect_followed, names, stand_in, three
from tests.harness import Build, Result, ShimRunner, expect
from tests.hazards.guests import expect_balanced, needs_root
from tests.hazards.lifecycle import answers
from tests.kube import namespace
from tests.kube.cluster import Cluster
from tests.kube.dns_server import DnsServer, Records
from tests.kube.double_cluster import DoubleCluster

pytestmark = pytest.mark.clusters("double")

NAME = "kubernetes.default.svc"  # one of the certificate's
KUBELET = "search default.svc.cluster.local svc.cluster.local cluster.local\nnameserver 127.0.0.1\noptions ndots:5\n"
SILENT = "127.0.0.3"


class Etc:
    """An /etc for programs: hosts and resolv.conf as the test has them at the time."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        directory.mkdir()
        for name in ("passwd", "group"):
            (directory / name).write_text(Path("/etc", name).read_text())
        self.write("hosts", "127.0.0.1 localhost\n")
        self.write("resolv.conf", KUBELET)
        self.write("nsswitch.conf", "hosts: files dns\n")

    def write(self, name: str, text: str) -> None:
        (self._directory / name).write_text(text)

    def within(self, command: List[Any]) -> List[str]:
        mount = 'mount --bind "$0" /etc && exec "$@"'
        return ["unshare", "-m", "sh", "-c", mount, str(self._directory), *map(str, command)]


@pytest.fixture
def etc(tmp_path: Path) -> Etc:
    needs_root()
    return Etc(tmp_path / "etc")


@pytest.fixture
def silent() -> Iterator[None]:
    """A nameserver that takes questions and answers none."""
    with closing(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)) as server:
        server.bind((SILENT, 53))
        yield


def by_name(cluster: Cluster, name: str = NAME, **extra: str) -> Dict[str, str]:
    url = cluster.url.replace(namespace.NODE_IP, name)
    assert url != cluster.url
    return cluster.env("web", K8SLB_API=url, **extra)


def ask(build: Build, vip: str, count: int = 9) -> List[Any]:
    return [build.programs / "connect_loop", vip, 80, count, "plain"]


@pytest.mark.parametrize("hosts", ["files dns", "mymachines resolve [!UNAVAIL=return] files myhostname dns", "dns"])
def test_of_the_hosts_file(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, silent: None, hosts: str) -> None:
    """Before DNS, whatever nsswitch.conf says: its modules are not ours."""
    service, pods = three(cluster)
    etc.write("nsswitch.conf", f"hosts: {hosts}\n")
    etc.write("hosts", f"{namespace.NODE_IP} other {NAME}\n")
    etc.write("resolv.conf", f"nameserver {SILENT}\n")
    # Less than a nameserver is waited for: none is.
    result = run_shim(etc.within(ask(build, service.vip)), env=by_name(cluster, K8SLB_SYNC_TIMEOUT="1500"))

    expect_balanced(result.stdout.splitlines(), pods, result, cluster.logs())


MANY = {namespace.NODE_IP, *(f"240.0.0.{number}" for number in range(1, 51))}  # refused by the kernel; do not fit into a datagram
RECORDS: Dict[str, Records] = {
    "by the search list": {f"{NAME}.cluster.local": {namespace.NODE_IP}},
    "as it stands": {NAME: {namespace.NODE_IP}},
    "both families": {NAME: {namespace.NODE_IP, "fd00:9::1"}},
    "by TCP": {NAME: MANY},
}


@pytest.mark.parametrize("how", RECORDS)
def test_of_dns(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, how: str) -> None:
    service, pods = three(cluster)
    with DnsServer(RECORDS[how]) as dns:
        result = run_shim(etc.within(ask(build, service.vip)), env=by_name(cluster))

    expect_balanced(result.stdout.splitlines(), pods, result, cluster.logs())
    expect(set(dns.asked) >= set(RECORDS[how]), True, dns.asked, result)


def test_of_the_variables_of_a_pod(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc) -> None:
    service, pods = three(cluster)
    port = cluster.url.rpartition(":")[2]
    env = cluster.env("web", K8SLB_API=None, KUBERNETES_SERVICE_HOST=NAME, KUBERNETES_SERVICE_PORT=port)
    with DnsServer({NAME: {namespace.NODE_IP}}):
        result = run_shim(etc.within(ask(build, service.vip)), env=env)

    expect_balanced(result.stdout.splitlines(), pods, result, cluster.logs())


def test_the_certificate_is_the_names(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    with DnsServer({"api.example": {namespace.NODE_IP}}):
        result = run_shim(etc.within(ask(build, service.vip, 2)), env=by_name(cluster, "api.example", K8SLB_SYNC_TIMEOUT="3000"))

    expect(result.stdout.split(), ["vip", "vip"], result)
    expect("certificate" in result.log, True, result)
    expect(cluster.server.requests(), [], result)


def test_a_name_that_moves(cluster: DoubleCluster, run_shim: ShimRunner, etc: Etc) -> None:
    """The connection that is open serves on; each new one asks anew."""
    service, pods = three(cluster)
    stand_in(cluster, service)
    with DnsServer({NAME: {"127.0.0.9"}}) as dns:  # nobody listens there
        env = by_name(cluster, K8SLB_SYNC_TIMEOUT="50", K8SLB_RETRY_DELAY="1")
        follower = Follower(run_shim, service, env, before=etc.within([]))
        follower.wait_log("127.0.0.9|onnect|refused")
        expect_followed(follower, {"vip"})
        dns.records = {NAME: {namespace.NODE_IP}}
        expect_followed(follower, names(pods))


def test_no_answer_comes(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, silent: None) -> None:
    """The next nameserver is asked."""
    service, pods = three(cluster)
    etc.write("resolv.conf", f"nameserver {SILENT}\nnameserver 127.0.0.1\n")
    with DnsServer({NAME: {namespace.NODE_IP}}):
        result = run_shim(etc.within(ask(build, service.vip)), env=by_name(cluster))

    expect_balanced(result.stdout.splitlines(), pods, result, cluster.logs())


def of_itself(query: bytes, _limit: int) -> bytes:
    """The name of the answer points to where it begins."""
    return query[:2] + b"\x81\x80\0\1\0\1\0\0\0\0" + query[12:] + b"\xc0" + bytes([len(query)]) + b"\0\1\0\1\0\0\0\5\0\4\x0a\x09\x09\x09"


def of_many(query: bytes, limit: int) -> bytes:
    """As many addresses as there may be in an answer; none of them may be dialled."""
    end = query.index(b"\0", 12) + 5
    flags = b"\x83\x80" if limit < 65535 else b"\x81\x80"
    record = b"\xc0\x0c\0\1\0\1\0\0\0\5\0\4\xf0\0\0\1"
    count = 4000 if limit == 65535 and query[end - 4 : end - 2] == b"\0\1" else 0
    return query[:2] + flags + b"\0\1" + count.to_bytes(2, "big") + b"\0\0\0\0" + query[12:end] + record * count


HOSTILE: Dict[str, Callable[[bytes, int], bytes]] = {
    "a loop": of_itself,
    "cut short": lambda query, _limit: query[: len(query) // 2],
    "another question's": lambda query, _limit: bytes([query[0] ^ 1]) + query[1:2] + b"\x81\x80" + query[4:],
    "no message": lambda query, _limit: b"\xff" * 600,
    "too many": of_many,
}


@pytest.mark.parametrize("how", HOSTILE)
def test_hostile_answers(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, how: str) -> None:
    """They cost the table, and nothing else."""
    service, _pods = three(cluster)
    stand_in(cluster, service)
    etc.write("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n")
    with DnsServer({}) as dns:
        dns.answer = HOSTILE[how]  # type: ignore[method-assign]
        env = by_name(cluster, K8SLB_SYNC_TIMEOUT="2000")
        result = run_shim(etc.within(ask(build, service.vip, 3)), env=env)

    expect((result.returncode, result.stdout.split(), result.stderr), (0, ["vip"] * 3, ""), result)


def expect_as_bare(run_shim: ShimRunner, command: List[str], env: Mapping[str, str]) -> None:
    bare, result = (run_shim(command, env=env, preload=preload) for preload in (False, True))
    expect((result.returncode, result.stdout, result.stderr), (bare.returncode, bare.stdout, bare.stderr), result, bare)


# libc aborts the program where our thread, still there, answers otherwise than the calling one (tests/hazards/test_leaving.py).
LEAVING = ["filter:setgroups", "setgroups", "setgid", "setuid"]


@pytest.mark.unsanitized("the sanitizers have threads of their own")
def test_the_thread_leaves_while_it_waits_for_a_nameserver(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, silent: None
) -> None:
    service, _pods = three(cluster)
    stand_in(cluster, service)
    etc.write("resolv.conf", f"nameserver {SILENT}\n")
    env = by_name(cluster, K8SLB_SYNC_TIMEOUT="300")

    expect_as_bare(run_shim, etc.within([build.programs / "steps", service.vip, 80, "ask", *LEAVING]), env)


@pytest.mark.unsanitized("the sanitizers have threads of their own")
@pytest.mark.parametrize("last", ["thread", "main"])
def test_a_program_ends_while_it_waits_for_a_nameserver(
    cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc, silent: None, last: str
) -> None:
    """main() ends by pthread_exit(): with our thread the last one would not be the last."""
    service, _pods = three(cluster)
    stand_in(cluster, service)
    etc.write("resolv.conf", f"nameserver {SILENT}\n")
    command = etc.within([build.programs / "threads_remain", service.vip, 80, 2, last])

    plain = run_shim(command, preload=False)
    result = run_shim(command, env=by_name(cluster, K8SLB_SYNC_TIMEOUT="300"))

    expect((result.returncode, result.stderr), (0, ""), result)
    expect(answers(result.stdout, "thread"), answers(plain.stdout, "thread"), result, plain)


@pytest.mark.unsanitized("the sanitizers map libraries of their own")
def test_nothing_is_loaded(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc) -> None:
    """glibc loads libnss_hesiod.so.2 for the first getaddrinfo() here."""
    service, pods = three(cluster)
    etc.write("nsswitch.conf", "hosts: hesiod files dns\n")
    command = [build.programs / "steps", service.vip, 80, "libraries", "ask", "libraries"]
    with DnsServer({NAME: {namespace.NODE_IP}}):
        result: Result = run_shim(etc.within(command), env=by_name(cluster))

    before, asked, after = result.stdout.splitlines()
    expect(after, before, result)
    expect(asked in {f"ask {pod.name}" for pod in pods}, True, result)


def test_in_the_command(cluster: DoubleCluster, run_shim: ShimRunner, build: Build, etc: Etc) -> None:
    """It is static, so that nothing of an image's resolver can be in it."""
    service, pods = three(cluster)
    with DnsServer({f"{NAME}.cluster.local": {namespace.NODE_IP}}):
        result = run_shim(etc.within([build.cli, "explain", service.name]), env=by_name(cluster), preload=False)

    expect((result.returncode, result.stderr), (0, ""), result)
    expect([pod.ip for pod in pods if pod.ip not in result.stdout], [], result)
