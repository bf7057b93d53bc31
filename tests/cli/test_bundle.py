# SPDX-License-Identifier: Apache-2.0
"""k8slb bundle: what is in it, and that no secret is."""
import io
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any, Dict

import pytest

from tests.cli.common import HOLDS, run_cli
from tests.cli.laptop import Laptop
from tests.e2e.common import three
from tests.harness import Build, ShimRunner, expect
from tests.preload.common import python

NAMES = ["versions.txt", "settings.txt", "log.txt", "maps.txt", "explain.txt", "doctor.txt"]


def content(data: bytes) -> Dict[str, str]:
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        return {member.name: archive.extractfile(member).read().decode(errors="replace") for member in archive}


def bundle(build: Build, env: Dict[str, str], *arguments: str) -> Dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("K8SLB_")}
    command = [str(build.cli), "bundle", "-o", "-", *arguments]
    result = subprocess.run(command, env={**clean, **env}, stdin=subprocess.DEVNULL, capture_output=True, timeout=120)
    expect((result.returncode, result.stderr), (0, b""), result)
    return content(result.stdout)


def expect_without(files: Dict[str, str], *secrets: str) -> None:
    """Nor any piece of one that could be of use."""
    for secret in secrets:
        for at in range(0, max(1, len(secret) - 16), 8):
            found = [name for name, text in files.items() if secret[at: at + 16] in text]
            expect(found, [], secret[at: at + 16])


@pytest.mark.clusters("real")
def test_what_is_in_it(cluster: Any, build: Build, run_shim: ShimRunner, tmp_path: Path) -> None:
    service, pods = three(cluster)
    log = tmp_path / "log"
    env = cluster.env("web", K8SLB_NAMES="always", K8SLB_LOG=f"debug:{log}")
    program = run_shim.start(python(HOLDS, service.vip, 80), env=env)
    program.wait_output("connected")
    # As if a server had told it back, whole and cut.
    with open(log, "a") as file:
        file.write(f"told back: {cluster.token}\nand cut: {cluster.token[20:60]}\n")
    certificate, key = cluster.clients.client_certificate("somebody")
    files = bundle(build, {**env, "K8SLB_CERT_FILE": certificate, "K8SLB_KEY_FILE": key, "DATABASE_PASSWORD": "swordfish-and-more"}, "--", "curl")
    expect(list(files), NAMES)
    assert files["versions.txt"].startswith("k8slb "), files["versions.txt"]
    assert f"K8SLB_TOKEN_FILE={cluster.token_file}\n" in files["settings.txt"], files["settings.txt"]
    assert "doctor" not in files["doctor.txt"].splitlines()[0] and "K8SLB022  api" in files["doctor.txt"], files["doctor.txt"]
    assert pods[0].ip in files["explain.txt"], files["explain.txt"]
    assert f"process {program.pid} " in files["maps.txt"] and str(build.shim) in files["maps.txt"], files["maps.txt"]
    assert "and cut: ****" in files["log.txt"] and "table 1: 1 Services" in files["log.txt"], files["log.txt"]
    expect_without(files, cluster.token, "swordfish-and-more", "".join(Path(key).read_text().splitlines()[1:-1]))


@pytest.mark.clusters("real")
def test_secrets_of_a_kubeconfig(cluster: Any, build: Build, tmp_path: Path) -> None:
    """One that holds them itself, and one that stands where a file should."""
    three(cluster)
    laptop = Laptop(cluster, tmp_path)
    files = bundle(build, {**laptop.env(laptop.token()), "K8SLB_SERVICES": "web"})
    assert "context here holds a token itself" in files["doctor.txt"], files["doctor.txt"]
    expect_without(files, cluster.token)
    files = bundle(build, cluster.env("web", K8SLB_TOKEN_FILE=cluster.token))
    assert "K8SLB_TOKEN_FILE=(not shown)" in files["settings.txt"], files["settings.txt"]
    expect_without(files, cluster.token)


def test_the_file(build: Build, tmp_path: Path) -> None:
    path = tmp_path / "bundle.tar"
    result = run_cli(build, "bundle", "--output", path)
    expect((result.returncode, result.stderr), (0, ""), result)
    expect(path.stat().st_mode & 0o777, 0o600)
    expect(list(content(path.read_bytes())), NAMES)
    result = run_cli(build, "bundle", "--output", path)
    expect((result.returncode, result.stdout), (1, ""), result)
    assert "File exists; name a new file" in result.stderr, result
