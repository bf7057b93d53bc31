# SPDX-License-Identifier: Apache-2.0
"""openssl s_client to openssl s_server in pods: a program that is OpenSSL itself, beside the TLS inside of the shim."""
from pathlib import Path
from typing import Any, List

import pytest

from tests.harness import expect
from tests.kube.cluster import Pod
from tests.programs.common import Backend, World, without
from tests.programs.servers import TLS_NAMES, TLS_VIP, Certificate

pytestmark = pytest.mark.clusters("double")

ASK = """
for i in $(seq "$1"); do
    printf 'GET /pod HTTP/1.0\\r\\n\\r\\n' | openssl s_client -CAfile "$2" -verify_return_error {options} || exit
done
"""
# What a handshake makes anew each time.
SECRETS = without(
    r"[0-9A-Fa-f]{32,}",
    r"^[0-9A-F]{16}(?=:error)",
    r"^ +[0-9a-f]{4} - .*$",
    r"Start Time: \d+",
    r"SSL handshake has read \d+ bytes and written \d+",
)


def serve(world: World, certificate: Certificate) -> Backend:
    """Pods that answer GET /pod with their name."""

    def command(pod: Pod, directory: Path) -> List[Any]:
        (directory / "pod").write_text(pod.name + "\n")
        server = ["openssl", "s_server", "-quiet", "-WWW", "-cert", certificate.file, "-key", certificate.key]
        return [*server, "-accept", f"{pod.ip}:{pod.port}"]

    return world.serve("secure", 443, command, cluster_ip=TLS_VIP)


@pytest.mark.parametrize(
    "options",
    [
        f"-quiet -connect {TLS_VIP}:443 -verify_ip {TLS_VIP}",
        f"-connect {TLS_NAMES[1]}:443 -verify_hostname {TLS_NAMES[1]} -ign_eof",
    ],
    ids=["vip", "name"],
)
def test_s_client(world: World, options: str) -> None:
    certificate = Certificate.make(world.directory)
    secure = serve(world, certificate)
    command = ["sh", "-c", ASK.format(options=options), "sh", 9, certificate.file]
    _plain, shim = world.both(command, {secure: 9}, uneven=8, same=SECRETS)
    answers = [line for line in shim.result.stdout.splitlines() if line in secure.pod_names]
    expect(len(answers), 9, shim.result)


def test_a_name_that_the_certificate_lacks(world: World) -> None:
    certificate = Certificate.make(world.directory)
    secure = serve(world, certificate)
    command = ["openssl", "s_client", "-connect", f"{TLS_VIP}:443", "-CAfile", certificate.file, "-verify_return_error"]
    world.both([*command, "-verify_hostname", "other.example.net"], {secure: 1}, same=SECRETS, returncode=1)
