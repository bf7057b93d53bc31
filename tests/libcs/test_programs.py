# SPDX-License-Identifier: Apache-2.0
"""Real programs of each system, as it ships them: shells, curl, wget, netcat, perl, and busybox on musl."""
import dataclasses
import re
from collections import Counter
from pathlib import Path
from typing import Callable, Dict, List

import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.double_cluster import DoubleCluster
from tests.kube.namespace import NODE_IP
from tests.libcs import places
from tests.libcs.places import Place
from tests.preload.common import web

pytestmark = pytest.mark.clusters("double")

# Each makes six connections to one address, of a name or a VIP, from one process.
IN_BASH = 'for i in 1 2 3 4 5 6; do exec 3<>"/dev/tcp/$0/$1" && echo WHO >&3 && head -n 1 <&3; exec 3>&-; done'
IN_PERL = (
    "use IO::Socket::INET; for (1..6) { my $s = IO::Socket::INET->new(PeerAddr => $ARGV[0], PeerPort => $ARGV[1])"
    ' or die "$!"; print $s "WHO\\n"; print scalar <$s>; }'
)
PROGRAMS: Dict[str, Callable[[str, int], List[str]]] = {
    "bash": lambda host, port: ["bash", "-c", IN_BASH, host, str(port)],
    "perl": lambda host, port: ["perl", "-e", IN_PERL, host, str(port)],
    "curl": lambda host, port: ["curl", "-sS", "--no-keepalive", "-H", "Connection: close", f"http://{host}:{port}/[1-6]"],
    "wget": lambda host, port: ["wget", "-q", "-O", "-", "--no-http-keep-alive"] + [f"http://{host}:{port}/"] * 6,
}
BY = {"address": lambda service: service.vip, "name": lambda service: f"{service.name}.{service.namespace}.svc"}


def leave_table(place: Place, cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """As after a program that has just ended: see tests/programs/common.py."""
    place.run(run_shim, ["getent", "ahosts", "web"], cluster.env("web"))


def pods_named(text: str) -> "Counter[str]":
    return Counter(re.findall(r"web-\d", text))


@pytest.mark.parametrize("place", places.RELEASES, indirect=True)
def test_a_release_has_the_libc_that_it_is_here_for(place: Place, run_shim: ShimRunner) -> None:
    result = place.run(run_shim, ["getconf", "GNU_LIBC_VERSION"], {"K8SLB_SERVICES": "web"})
    expect((result.returncode, result.stdout, result.stderr), (0, places.RELEASES[place.name] + "\n", ""), result)


@pytest.mark.parametrize("place", places.RELEASES, indirect=True)
@pytest.mark.parametrize("by", BY)
@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_of_a_release(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, program: str, by: str) -> None:
    service, pods = web(cluster)
    leave_table(place, cluster, run_shim)

    result = place.run(run_shim, PROGRAMS[program](BY[by](service), service.port), cluster.env("web"))

    expect(pods_named(result.stdout), Counter({pod.name: 2 for pod in pods}), result, cluster.logs())
    expect((result.returncode, result.stderr), (0, ""), result)
    expect([pod.connections() for pod in pods], [2, 2, 2], result)


@pytest.mark.parametrize("place", places.RELEASES, indirect=True)
def test_netcat_of_a_release(place: Place, cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    service, pods = web(cluster)
    command = ["sh", "-c", 'echo WHO | nc -N -w 5 "$0" "$1"', service.vip, service.port]
    leave_table(place, cluster, run_shim)

    result = place.run(run_shim, command, cluster.env("web"))

    expect(sum(pods_named(result.stdout).values()), 1, result)
    expect((result.returncode, result.stderr), (0, ""), result)


@pytest.fixture
def busybox(place: Place) -> List[str]:
    return [str(places.made("busybox") / "busybox")]


@pytest.mark.parametrize("place", ["musl"], indirect=True)
@pytest.mark.parametrize("by", BY)
def test_busybox_wget_on_musl(
    place: Place, busybox: List[str], cluster: DoubleCluster, run_shim: ShimRunner, by: str
) -> None:
    service, pods = web(cluster)
    urls = [f"http://{BY[by](service)}:{service.port}/"] * 6

    result = place.run(run_shim, [*busybox, "wget", "-q", "-O", "-", *urls], cluster.env("web"))

    expect(pods_named(result.stdout), Counter({pod.name: 2 for pod in pods}), result, cluster.logs())
    expect((result.returncode, result.stderr), (0, ""), result)


@pytest.mark.parametrize("place", ["musl"], indirect=True)
def test_busybox_nc_from_its_shell_on_musl(
    place: Place, busybox: List[str], cluster: DoubleCluster, run_shim: ShimRunner
) -> None:
    """The shell forks and calls the applet without an exec: no constructor runs in that process."""
    service, pods = web(cluster)
    loop = 'for i in 1 2 3; do echo WHO | "$2" nc "$0" "$1"; done'

    result = place.run(run_shim, [*busybox, "sh", "-c", loop, service.vip, service.port, *busybox], cluster.env("web"))

    expect(sum(pods_named(result.stdout).values()), 3, result, cluster.logs())
    expect(sum(pod.connections() for pod in pods), 3, result)
    expect((result.returncode, result.stderr), (0, ""), result)


LOOKUPS = {
    "getaddrinfo": ["getaddrinfo", "{name}", "http", "2", "1", "0"],
    "gethostbyname": ["gethostbyname", "{name}"],
    "gethostbyname2": ["gethostbyname2", "{name}", "2"],
    "gethostbyname_r": ["gethostbyname_r", "{name}", "1024"],
    "gethostbyname2_r": ["gethostbyname2_r", "{name}", "2", "1024"],
}


@pytest.mark.parametrize("place", ["musl", "arm64"], indirect=True)
@pytest.mark.parametrize("call", LOOKUPS)
def test_every_lookup(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, call: str) -> None:
    service, _pods = web(cluster)
    assert place.programs
    words = [word.format(name="web.default.svc") for word in LOOKUPS[call]]

    result = place.run(run_shim, [place.programs / "lookup", *words], cluster.env("web", **places.PATIENCE))

    expect((result.returncode, result.stderr), (0, ""), result)
    assert str(service.vip) in result.stdout.split(), result


@pytest.mark.parametrize("place", ["musl", "arm64"], indirect=True)
@pytest.mark.parametrize("way", [[], ["plain"]], ids=["nonblocking-v4-mapped", "blocking"])
def test_both_ways_to_connect(place: Place, cluster: DoubleCluster, run_shim: ShimRunner, way: List[str]) -> None:
    service, pods = web(cluster)
    assert place.programs

    # By name: a lookup waits for the first table under qemu, too, a non-blocking connect() never so long.
    command = [place.programs / "connect_loop", "web.default.svc", service.port, 6, *way]
    result = place.run(run_shim, command, cluster.env("web", **places.PATIENCE))

    expect(pods_named(result.stdout), Counter({pod.name: 2 for pod in pods}), result, cluster.logs())
    expect((result.returncode, result.stderr), (0, ""), result)


@pytest.mark.parametrize("place", places.NAMES, indirect=True)
def test_the_command_runs_too(build: Build, place: Place, cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Statically linked: it says in every image what it says here."""
    web(cluster)
    here = dataclasses.replace(place, before=(), within="")
    arguments = ["explain", "-o", "json", "web"]

    expected = here.run(run_shim, [build.cli, *arguments], cluster.env("web"), preload=False)
    result = place.run(run_shim, [place.file(place.cli), *arguments], cluster.env("web"), preload=False)

    expect((result.returncode, result.stdout, result.stderr), (0, expected.stdout, ""), result, expected)
    expect(pods_named(result.stdout).keys(), {"web-0", "web-1", "web-2"}, result)


def test_the_command_resolves_names_without_plugins(build: Build, network: None, run_shim: ShimRunner, tmp_path: Path) -> None:
    """nsswitch.conf may name modules of the image's libc, which a static program must not load: hosts and DNS are enough."""
    server = DoubleCluster(tls=False)
    try:
        web(server)
        hosts, switch = tmp_path / "hosts", tmp_path / "nsswitch.conf"
        hosts.write_text(f"{NODE_IP} api.test\n")
        switch.write_text("hosts: mymachines resolve [!UNAVAIL=return] files\n")
        bind = f"mount --bind {hosts} /etc/hosts && mount --bind {switch} /etc/nsswitch.conf"
        trace = tmp_path / "trace"
        command = ["unshare", "-m", "sh", "-c", f'{bind} && exec strace -f -e trace=openat -o {trace} "$@"', "sh", build.cli]

        api = f"http://api.test:{server.server.port}"
        env = server.env("web", K8SLB_API=api)
        result = run_shim([*command, "explain", "-o", "json", "web"], env=env, preload=False)

        expect((result.returncode, result.stderr), (0, ""), result)
        expect(pods_named(result.stdout).keys(), {"web-0", "web-1", "web-2"}, result)
        opened = trace.read_text()
        assert '"/etc/hosts"' in opened, opened
        expect(re.findall(r".*\.so.*", opened), [])
    finally:
        server.clean()
        server.close()
