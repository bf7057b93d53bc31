# SPDX-License-Identifier: Apache-2.0
"""Name lookups answer from the table, in every form of the name and by every call."""
import socket
from typing import List

import pytest

from tests.harness import Build, Result, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")

INET, INET6, STREAM, DGRAM = socket.AF_INET, socket.AF_INET6, socket.SOCK_STREAM, socket.SOCK_DGRAM
CANONNAME, NUMERICHOST, ADDRCONFIG, V4MAPPED = 2, 4, 0x20, 8
EAI_NONAME, EAI_NODATA = -2, -5
ERANGE, NO_DATA, NETDB_INTERNAL = 34, 4, -1
FULL_NAME = "web.default.svc.cluster.local"


class Lookup:
    """Runs the program `lookup` under the shim."""

    def __init__(self, cluster: Cluster, run_shim: ShimRunner, build: Build, **settings: str) -> None:
        self._program = build.programs / "lookup"
        self._run = run_shim
        self._env = cluster.env("web:80 headless", **settings)

    def run(self, *arguments: object, preload: bool = True) -> Result:
        return self._run([self._program, *arguments], env=self._env, preload=preload)

    def lines(self, *arguments: object) -> List[str]:
        result = self.run(*arguments)
        expect((result.returncode, result.stderr), (0, ""), result)
        return result.stdout.split("\n")[:-1]


@pytest.fixture
def lookup(cluster: Cluster, run_shim: ShimRunner, build: Build) -> Lookup:
    return Lookup(cluster, run_shim, build)


@pytest.mark.parametrize(
    "name", ["web", "WEB", "web.default.svc", FULL_NAME, FULL_NAME + ".", "WEB.Default.SVC.Cluster.LOCAL"]
)
def test_every_form_of_the_name(cluster: Cluster, lookup: Lookup, name: str) -> None:
    service, _pods = web(cluster)

    expect(lookup.lines("getaddrinfo", name, 80, INET, STREAM, 0), [f"{service.vip} 80 type 1"])
    expect(lookup.lines("gethostbyname", name), [f"{FULL_NAME} aliases none {service.vip} length 4 errno 77"])


# web.default: there may be a pod "web" of a headless Service "default" here, for all that is known.
@pytest.mark.parametrize("name", ["web.", "web.default", "web.default.", "web.default.svc.", "web.other", "webs", "x.web", "web.default.svc.example.com", "web.default.pod", "10.96.1"])
def test_other_names_are_answered_by_libc(cluster: Cluster, lookup: Lookup, name: str) -> None:
    web(cluster)
    plain = lookup.run("getaddrinfo", name, 80, INET, STREAM, 0, preload=False)

    expect(lookup.run("getaddrinfo", name, 80, INET, STREAM, 0).stdout, plain.stdout)


def test_flags_of_getaddrinfo(cluster: Cluster, lookup: Lookup) -> None:
    service, _pods = web(cluster)
    vip = service.vip

    expect(lookup.lines("getaddrinfo", "web", 80, INET, STREAM, ADDRCONFIG), [f"{vip} 80 type 1"])
    expect(lookup.lines("getaddrinfo", "web", "-", INET, STREAM, 0), [f"{vip} 0 type 1"])
    expect(lookup.lines("getaddrinfo", "web", 80, 0, STREAM, CANONNAME), [f"{vip} 80 type 1 name {FULL_NAME}"])
    expect(lookup.lines("getaddrinfo", "web", 80, 0, DGRAM, 0), [f"{vip} 80 type 2"])
    expect(lookup.lines("getaddrinfo", "web", 80, 0, 0, "none"), [f"{vip} 80 type {n}" for n in (1, 2, 3)])
    expect(lookup.lines("getaddrinfo", "web", 80, INET6, STREAM, V4MAPPED), [f"::ffff:{vip} 80 type 1"])
    expect(lookup.lines("getaddrinfo", "web", 80, INET6, STREAM, 0), [f"error {EAI_NODATA}"])
    # "Is this a number?"
    expect(lookup.lines("getaddrinfo", "web", 80, 0, STREAM, NUMERICHOST), [f"error {EAI_NONAME}"])


def test_errors_of_the_caller_are_those_of_libc(cluster: Cluster, lookup: Lookup) -> None:
    web(cluster)
    for arguments in (("no-such-service", 0, STREAM, 0), ("80", 99, STREAM, 0), ("80", 0, 77, 0), ("80", 0, STREAM, 0x80000)):
        plain = lookup.run("getaddrinfo", "localhost", *arguments, preload=False)
        expect(lookup.run("getaddrinfo", "web", *arguments).stdout, plain.stdout, arguments)


def test_the_reentrant_forms(cluster: Cluster, lookup: Lookup) -> None:
    service, _pods = web(cluster)
    answer = f"0 h_errno 0 guards kept {FULL_NAME} aliases none {service.vip} length 4 errno 77"

    expect(lookup.lines("gethostbyname_r", "web", 1024), [answer])
    expect(lookup.lines("gethostbyname2_r", "web", INET, 1024), [answer])
    expect(lookup.lines("gethostbyname2_r", "web", INET6, 1024), [f"0 h_errno {NO_DATA} guards kept nothing"])
    expect(lookup.lines("gethostbyname2", "web", INET6), [f"h_errno {NO_DATA} nothing"])
    # The answer is 3 pointers, 4 bytes and the name; the odd buffer loses 7 more.
    needed = 7 + 3 * 8 + 4 + len(FULL_NAME) + 1
    expect(lookup.lines("gethostbyname_r", "web", needed), [answer])
    for size in (0, 1, needed - 1):
        expect(lookup.lines("gethostbyname_r", "web", size), [f"{ERANGE} h_errno {NETDB_INTERNAL} guards kept nothing"])


def test_a_headless_service_answers_with_its_pods(cluster: Cluster, lookup: Lookup) -> None:
    _service, pods = web(cluster, name="headless", cluster_ip="None")
    ips = sorted(pod.ip for pod in pods)

    by_number = lookup.lines("getaddrinfo", "headless", 9999, INET, STREAM, 0)
    by_name = lookup.lines("getaddrinfo", "headless", "http", INET, STREAM, 0)
    unknown = lookup.lines("getaddrinfo", "headless", "-", INET, STREAM, 0)

    expect(sorted(by_number), [f"{ip} 9999 type 1" for ip in ips])
    expect(sorted(by_name), [f"{ip} 80 type 1" for ip in ips])
    expect(sorted(unknown), [f"{ip} 0 type 1" for ip in ips])
    expect(sorted(lookup.lines("gethostbyname", "headless")[0].split()[3:6]), ips)


def test_resolving_to_endpoints(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, pods = web(cluster)
    lookup = Lookup(cluster, run_shim, build, K8SLB_RESOLVE="endpoint")
    endpoints = sorted(f"{pod.ip} 8080 type 1" for pod in pods)

    expect(sorted(lookup.lines("getaddrinfo", "web", 80, INET, STREAM, 0)), endpoints)
    expect(sorted(lookup.lines("getaddrinfo", "web", "http", INET, STREAM, 0)), endpoints)
    # A pod's address with a Service's port would be wrong.
    expect(lookup.lines("getaddrinfo", "web", "-", INET, STREAM, 0), [f"{service.vip} 0 type 1"])
    expect(lookup.lines("getaddrinfo", "web", 81, INET, STREAM, 0), [f"{service.vip} 81 type 1"])
    expect(lookup.lines("getaddrinfo", "web", 80, INET, DGRAM, 0), [f"{service.vip} 80 type 2"])


def test_the_first_endpoint_takes_turns(cluster: Cluster, run_shim: ShimRunner) -> None:
    _service, pods = web(cluster)
    code = (
        "import socket\n"
        "for _ in range(6):\n"
        "    print(socket.getaddrinfo('web', 80, socket.AF_INET, socket.SOCK_STREAM)[0][4][0])\n"
    )

    result = run_shim(python(code), env=cluster.env("web", K8SLB_RESOLVE="endpoint"))

    expect(sorted(result.stdout.split()), sorted([pod.ip for pod in pods] * 2), result)


def test_the_name_of_the_host_itself_is_left_to_libc(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    """/etc/hosts of a Pod has it, as its own address."""
    service, _pods = web(cluster)
    other, _pods = web(cluster, name="api")
    code = "import os, socket, sys; socket.sethostname('web'); os.execv(sys.argv[1], sys.argv[1:])"

    def lookup(name: str, preload: bool = True) -> str:
        program = [build.programs / "lookup", "getaddrinfo", name, 80, INET, STREAM, 0]
        result = run_shim(["unshare", "-u", *python(code, *program)], env=cluster.env("*"), preload=preload)
        expect((result.returncode, result.stderr), (0, ""), result)
        return result.stdout

    for name in ("web", "WEB"):
        expect(lookup(name), lookup(name, preload=False))
    expect(lookup("api"), f"{other.vip} 80 type 1\n")
    expect(lookup("web.default"), f"{service.vip} 80 type 1\n")
