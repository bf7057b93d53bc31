# SPDX-License-Identifier: Apache-2.0
"""The image of `make image`: what is in it, that it can be made again, and that a Pod which the chart injected is balanced by it, on
every C library."""
import json
import shutil
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, Iterator, List

import pytest

from tests.deploy.helm import CHART, Helm
from tests.deploy.pods import INJECT, Object, container, pod, value
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.kube.real_cluster import RealCluster
from tests.libcs.places import ARM64_LIBC, PATIENCE, QEMU, Place, cross_build
from tests.preload.common import tally

ROOT = Path(__file__).resolve().parents[2]
MACHINES = ("amd64", "arm64")
FILES = ["k8slb", "libk8slb.so"]
VERSION = "0.2.0"


def run(*words: object, **options: Any) -> str:
    result = subprocess.run([*map(str, words)], capture_output=True, text=True, **options)
    expect(result.returncode, 0, words, result.stdout, result.stderr)
    return result.stdout


def layout(build: Build) -> str:
    return f"oci:{build.directory / 'image'}:{VERSION}"


@pytest.fixture(scope="module")
def unpacked(build: Build, tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Path]:
    """The files of each machine's image, as a container runtime unpacks them."""
    directory = tmp_path_factory.mktemp("image")
    for machine in MACHINES:
        run("skopeo", "copy", f"--override-arch={machine}", layout(build), f"oci:{directory / machine}:{VERSION}")
        run("umoci", "unpack", "--rootless", f"--image={directory / machine}:{VERSION}", directory / f"bundle-{machine}")
    # umoci's bundles are for nobody else.
    for bundle in directory.glob("bundle-*"):
        bundle.chmod(0o755)
    return {machine: directory / f"bundle-{machine}" / "rootfs" for machine in MACHINES}


def test_what_is_in_it(build: Build, unpacked: Dict[str, Path]) -> None:
    index = json.loads(run("skopeo", "inspect", "--raw", layout(build)))
    expect([one["platform"] for one in index["manifests"]], [{"architecture": machine, "os": "linux"} for machine in MACHINES])
    builds = {"amd64": build.directory, "arm64": cross_build(build)}
    for machine in MACHINES:
        told = json.loads(run("skopeo", "inspect", "--config", f"--override-arch={machine}", layout(build)))
        expect((told["architecture"], told["os"], told["created"]), (machine, "linux", "1970-01-01T00:00:00Z"))
        config = told["config"]
        expect((config["Entrypoint"], config["Cmd"], config["User"]), (["/k8slb"], ["copy", "/opt/k8slb"], "65532:65532"))
        expect(config["Labels"]["org.opencontainers.image.version"], VERSION)
        root = unpacked[machine]
        expect(sorted(path.relative_to(root).as_posix() for path in root.rglob("*")), FILES)
        for name in FILES:
            expect(oct((root / name).stat().st_mode), oct(0o100755))
            assert (root / name).read_bytes() == (builds[machine] / name).read_bytes(), (machine, name)


def test_it_is_made_again_byte_by_byte(build: Build, tmp_path: Path) -> None:
    """Of the same files elsewhere, with other times and rights, in another order."""
    for machine, directory in (("amd64", build.directory), ("arm64", cross_build(build))):
        (tmp_path / machine).mkdir()
        for name in FILES:
            shutil.copyfile(directory / name, tmp_path / machine / name)
    run(ROOT / "scripts/make-image", VERSION, tmp_path / "image", tmp_path / "arm64", tmp_path / "amd64")
    blobs = [{path.relative_to(place).as_posix(): path.read_bytes() for path in place.rglob("*") if path.is_file()}
             for place in (build.directory / "image", tmp_path / "image")]  # fmt: skip
    expect(sorted(blobs[1]), sorted(blobs[0]))
    expect([name for name in blobs[0] if blobs[0][name] != blobs[1][name]], [])


def test_a_build_that_is_none_is_refused(build: Build, tmp_path: Path) -> None:
    for name in FILES:
        (tmp_path / name).write_text("#!/bin/sh\n")
    result = subprocess.run([ROOT / "scripts/make-image", VERSION, tmp_path / "image", tmp_path], capture_output=True, text=True)
    expect((result.returncode, "are not of one machine of amd64, arm64" in result.stderr), (1, True), result)


@pytest.mark.parametrize("machine", MACHINES)
def test_it_copies_itself(unpacked: Dict[str, Path], tmp_path: Path, machine: str) -> None:
    """What an init container does, and no more than its entry point says."""
    before = [QEMU, "-L", ARM64_LIBC] if machine == "arm64" else []
    command = unpacked[machine] / "k8slb"
    expect(run(*before, command, "--version"), f"k8slb {VERSION}\n")
    # qemu is what /proc/self/exe names there.
    words = [*before, command, "copy", *(["--from", unpacked[machine]] if before else [])]
    expect(run(*words, tmp_path / "volume"), "")
    for name in FILES:
        assert (tmp_path / "volume" / name).read_bytes() == (unpacked[machine] / name).read_bytes(), name


# --- from helm install to a balanced Pod ---

# The kubelet's part: the image at its place, read-only, and the files of the account. $1: the root of the container, "" for this one.
AS_THE_KUBELET = """
set -e
root=$1 image=$2 account=$3
shift 3
for name in opt run; do mount -t tmpfs tmpfs "$root/$name"; done
mkdir -p "$root/opt/k8slb" "$root/run/secrets/kubernetes.io/serviceaccount"
mount --bind "$image" "$root/opt/k8slb"
mount -o remount,bind,ro "$root/opt/k8slb"
cp "$account"/* "$root/run/secrets/kubernetes.io/serviceaccount/"
exec "$@"
"""


@pytest.fixture(scope="module")
def walk(real_cluster: RealCluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[float]:
    """What an administrator does; when they began."""
    began = time.monotonic()
    helm = Helm(real_cluster, tmp_path_factory.mktemp("helm"))
    real_cluster.kubectl("create", "namespace", "shop")
    helm("install", "k8slb", CHART, "--create-namespace")
    real_cluster.kubectl("label", "namespace", "shop", f"{INJECT}=true")
    yield began
    helm("uninstall", "k8slb")
    real_cluster.kubectl("label", "namespace", "shop", f"{INJECT}-")


def created_pod(cluster: RealCluster, body: Object) -> Object:
    """The Pod as the API server has it, once it is injected: until then the policy is not known there."""
    path = "/api/v1/namespaces/shop/pods"

    def look() -> List[Object]:
        status, made = cluster.request("POST", path, body)
        expect(status, 201, made)
        cluster.request("DELETE", f"{path}/{made['metadata']['name']}?gracePeriodSeconds=0")
        return [made] if "volumes" in made["spec"] else []

    return wait_until("an injected Pod", look, cluster.logs, pause=0.1)[0]


def environment(cluster: RealCluster, created: Object) -> Dict[str, str]:
    """What the kubelet gives the Pod's container: its own variables, and those of the Service kubernetes."""
    fields = {"spec.nodeName": created["spec"]["nodeName"], "metadata.namespace": created["metadata"]["namespace"]}
    host, port = cluster.url[len("https://"):].split(":")
    env = {"KUBERNETES_SERVICE_HOST": host, "KUBERNETES_SERVICE_PORT": port}
    for one in created["spec"]["containers"][0]["env"]:
        env[one["name"]] = one["value"] if "value" in one else fields[one["valueFrom"]["fieldRef"]["fieldPath"]]
    return env


def account_files(cluster: RealCluster, directory: Path) -> Path:
    directory.mkdir()
    (directory / "token").write_text(cluster.kubectl("create", "token", "-n", "shop", "default").strip())
    (directory / "ca.crt").write_text(Path(str(cluster.ca_file)).read_text())
    (directory / "namespace").write_text("shop")
    return directory


@pytest.mark.clusters("real")
def test_from_helm_install_to_a_balanced_pod(
    place: Place, cluster: RealCluster, run_shim: ShimRunner, unpacked: Dict[str, Path], walk: float, tmp_path: Path
) -> None:
    service = cluster.create_service("web", "shop")
    pods = [cluster.add_pod(f"web-{number}", {"app": "web"}, "shop") for number in range(3)]
    cluster.wait_endpoints(service, 3)
    emulated = PATIENCE if place.name == "arm64" else {"K8SLB_SYNC_TIMEOUT": "10000"}
    body = pod(container("app", *(value(*one) for one in emulated.items())), nodeName="n1")
    created = created_pod(cluster, body)
    expect([one["mountPath"] for one in created["spec"]["containers"][0]["volumeMounts"]], ["/opt/k8slb"])
    env = environment(cluster, created)
    expect(env["LD_PRELOAD"], "/opt/k8slb/libk8slb.so")

    root = place.before[1] if place.before[:1] == ("chroot",) else ""
    image = unpacked["arm64" if place.name == "arm64" else "amd64"]
    under = ["unshare", "-m", "sh", "-c", AS_THE_KUBELET, "sh", root, image, account_files(cluster, tmp_path / "account")]
    result = place.run(run_shim, place.guest(str(service.vip), service.port, 6), env, preload=False, under=under)

    peer = f" {service.vip} {service.port}"
    lines = {f"{who} {one.name}{peer}": 2 for who in ("main", "thread", "child") for one in pods}
    expect((tally(result.stdout), result.returncode, result.stderr), (Counter(lines), 0, ""), result, env, cluster.logs())
    seconds = time.monotonic() - walk
    print(f"{seconds:.0f} s after helm install began")
    assert seconds < 600, seconds
