# SPDX-License-Identifier: Apache-2.0
"""curl: non-blocking connects, getpeername() after them, kept and parallel connections, TLS that checks the name."""
from pathlib import Path
from typing import List, Tuple

import pytest

from tests.harness import expect
from tests.programs.common import World, same_lines, without
from tests.programs.servers import Certificate, serve_https

pytestmark = pytest.mark.clusters("double")

CLOSE = ("-H", "Connection: close")


@pytest.mark.parametrize("by", ["vip", "name"])
def test_a_connection_for_each_request(world: World, by: str) -> None:
    """With all that curl tells about its connections, addresses included."""
    web = world.web()
    told = "%{remote_ip} %{remote_port} %{num_connects} %{url}\n"
    _plain, shim = world.both(["curl", "-sSv", *CLOSE, "-w", told, f"http://{getattr(web, by)}/[1-30]"], {web: 30})
    assert f"Connected to {getattr(web, by)} ({web.vip}) port 80" in shim.result.stderr, shim.result


def test_a_kept_connection_stays_with_its_pod(world: World) -> None:
    web = world.web()
    _plain, shim = world.both(["curl", "-sS", f"http://{web.vip}/[1-30]"], {web: 1})
    expect(len(set(shim.result.stdout.split())), 1, shim.result)


@pytest.mark.parametrize("options", [("--parallel-max", "10"), ("--parallel-immediate",)], ids=["queued", "immediate"])
def test_parallel_transfers(world: World, options: Tuple[str, ...]) -> None:
    """By address: by name curl leaves threads of its resolver behind, which then meet its exit now and then."""
    web = world.web()
    command = ["curl", "-sS", "--no-progress-meter", "-Z", *options, *CLOSE, f"http://{web.vip}/[1-40]"]
    world.both(command, {web: 40}, same=same_lines)


def test_a_chosen_source_address_and_port(world: World) -> None:
    web = world.web()

    def command(directory: Path) -> List[str]:
        # Not the same ports twice: the kernel still knows where those of the other run led.
        ports = "61000-61499" if directory.name.startswith("without") else "61500-61999"
        source = ["--interface", "host!10.9.9.9", "--local-port", ports]
        return ["curl", "-sS", *source, *CLOSE, "-w", "%{local_ip}\n", f"http://{web.vip}/[1-12]"]

    _plain, shim = world.both(command, {web: 12})
    expect(shim.result.stdout.split().count("10.9.9.9"), 12, shim.result)


def test_an_address_given_for_a_name(world: World) -> None:
    web = world.web()
    given = ["--resolve", f"www.example.net:80:{web.vip}", "--connect-to", f"other.example.net:80:{web.name}:80"]
    urls = ["http://www.example.net/[1-6]", "http://other.example.net/[1-6]"]
    world.both(["curl", "-sS", *given, *CLOSE, *urls], {web: 12})


@pytest.mark.parametrize("by", ["vip", "name"])
def test_https(world: World, by: str) -> None:
    """The certificate is for the address or the name that the user wrote, not for a pod's."""
    certificate = Certificate.make(world.directory)
    secure = serve_https(world, certificate)
    url = f"https://{getattr(secure, by)}/[1-12]"
    world.both(["curl", "-sS", "--cacert", certificate.file, *CLOSE, url], {secure: 12})
    world.both(["curl", "-sS", "--cacert", certificate.file, url], {secure: 1})


def test_a_failure_is_told_as_without_the_shim(world: World) -> None:
    """A port that the Service does not have, a name nobody knows, a certificate nobody trusts."""
    secure = serve_https(world, Certificate.make(world.directory))
    # Which of its two timers tells it is left to chance.
    no_such_port = ["curl", "-sS", "--connect-timeout", "0.3", f"http://{secure.vip}:81/"]
    world.both(no_such_port, {secure: 0}, returncode=28, same=without(r"(?<=\(28\)).*"))
    world.both(["curl", "-sS", "http://nobody.default.svc.cluster.local/"], {secure: 0}, returncode=6)
    world.both(["curl", "-sS", f"https://{secure.vip}/"], {secure: 1}, returncode=60)
