# SPDX-License-Identifier: Apache-2.0
"""What is not ours goes to libc byte for byte and errno for errno, while Services are configured and a table is live."""
import pytest

from tests.harness import Build, ShimRunner, expect
from tests.kube.cluster import Cluster
from tests.preload.common import python, web

pytestmark = pytest.mark.clusters("double")


@pytest.mark.parametrize("services", ["web", "*/*", "web:80", "nothing"])
def test_every_odd_connect_is_as_without_the_shim(cluster: Cluster, run_shim: ShimRunner, build: Build, services: str) -> None:
    service, pods = web(cluster)
    probe = [build.programs / "probe_connect", service.vip, service.port]
    warm = [] if services == "nothing" else ["warm"]

    plain = run_shim(probe, preload=False)
    shimmed = run_shim([*probe, *warm], env=cluster.env(services))

    expect(plain.returncode, 0, plain)
    assert plain.stdout.count("\n") > 50, plain
    expect(shimmed.stdout.split("\n"), plain.stdout.split("\n"), shimmed)
    expect((shimmed.returncode, shimmed.stderr), (0, ""), shimmed)
    expect(sum(pod.connections() for pod in pods), len(warm), shimmed)


def test_without_services_nothing_happens(cluster: Cluster, run_shim: ShimRunner, build: Build) -> None:
    service, _pods = web(cluster)
    probe = [build.programs / "probe_connect", service.vip, service.port]

    plain = run_shim(probe, preload=False)
    inert = run_shim(probe, env=cluster.env(""))

    expect(inert.stdout, plain.stdout, inert)
    expect(inert.log, "", inert)


def test_udp_to_the_vip_stays_udp_to_the_vip(cluster: Cluster, run_shim: ShimRunner) -> None:
    service, _pods = web(cluster)
    code = (
        "import socket, sys\n"
        "vip = (sys.argv[1], int(sys.argv[2]))\n"
        "socket.create_connection(vip).close()\n"
        "with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:\n"
        "    s.connect(vip)\n"
        "    print(s.getpeername())\n"
    )
    result = run_shim(python(code, service.vip, service.port), env=cluster.env("web"))

    expect(result.stdout, f"('{service.vip}', {service.port})\n", result)


def test_what_takes_the_number_of_a_new_socket(cluster: Cluster, run_shim: ShimRunner) -> None:
    """dup2() is none of our hooks. A datagram socket stays one to the Service's address; others fail as they do."""
    ports = [{"name": protocol.lower(), "port": 53, "targetPort": 8080, "protocol": protocol} for protocol in ("TCP", "UDP")]
    service, _pods = web(cluster, ports=ports)
    code = (
        "import errno, os, socket, sys\n"
        "vip = (sys.argv[1], 53)\n"
        "socket.create_connection(vip).close()\n"
        "datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)\n"
        "listener = socket.create_server(('127.0.0.1', 0))\n"
        "connected = socket.create_connection(listener.getsockname())\n"
        "for other in (datagrams, listener.accept()[0], listener, connected, socket.socketpair()[0], open('/dev/null')):\n"
        "    with socket.socket() as fresh:\n"
        "        os.dup2(other.fileno(), fresh.fileno())\n"
        "        print(errno.errorcode.get(fresh.connect_ex(vip), 'connected'))\n"
        "print(' '.join(line.split()[2] for line in open('/proc/self/net/udp'))[4:])\n"
    )

    result = run_shim(python(code, service.vip), env=cluster.env("web"))

    expected = ["connected", "EISCONN", "EISCONN", "EISCONN", "EINVAL", "ENOTSOCK"]
    octets = "".join(f"{int(octet):02X}" for octet in reversed((service.vip or "").split(".")))
    expect(result.stdout.splitlines()[:-1], expected, result)
    assert f"{octets}:0035" in result.stdout.splitlines()[-1], result


@pytest.mark.parametrize("setting", [{"K8SLB_SKIP": "wget lookup"}, {"K8SLB_ONLY": "wget,nginx"}])
def test_an_excluded_program_is_left_alone(
    cluster: Cluster, run_shim: ShimRunner, build: Build, setting: "dict[str, str]"
) -> None:
    service, _pods = web(cluster)
    program = [build.programs / "lookup", "gethostbyname", "web"]

    balanced = run_shim(program, env=cluster.env("web"))
    excluded = run_shim(program, env=cluster.env("web", **setting))

    assert service.vip and service.vip in balanced.stdout, balanced
    expect((excluded.returncode, excluded.stdout, excluded.log), (0, "nothing\n", ""), excluded)
