# SPDX-License-Identifier: Apache-2.0
"""K8SLB_API=file:PATH: a kubectl dump in the API server's place, followed as it changes."""
import json
import os
import re
import socket
import threading
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Sequence

import pytest

from tests.harness import ShimProcess, ShimRunner, expect
from tests.kube import namespace as netns
from tests.preload.common import python

VIP = "10.96.7.1"
# What a real API server refuses as an endpoint's address, and a file may hold.
NOT_OF_A_POD = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::ffff:127.0.0.1", "::ffff:10.244.99.99",
)
POD = "10.244.199.9"
LOOP = """
import socket, sys, time
last, deadline = None, time.monotonic() + 25
while time.monotonic() < deadline:
    try:
        with socket.create_connection((sys.argv[1], 80), 2) as connection:
            now = connection.recv(100).decode()
    except OSError as error:
        now = type(error).__name__
    if now != last:
        print(now, flush=True)
    last = now
    if now == "last":
        break
    time.sleep(0.01)
"""


@pytest.fixture
def pods() -> Iterator[Dict[str, int]]:
    """Listeners that answer their name; name -> port, all at POD but for two at the last one's port on loopback."""
    netns.add_address(POD)
    listeners = {}

    def serve(name: str, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            connection.sendall(name.encode())
            connection.close()

    for name in ("first", "second", "last"):
        listener = socket.create_server((POD, 0))
        listeners[name] = listener
    for own in ("127.0.0.1", "127.8.8.8"):
        listeners[own] = socket.create_server((own, listeners["last"].getsockname()[1]))
    for name, listener in listeners.items():
        threading.Thread(target=serve, args=(name, listener), daemon=True).start()
    yield {name: listener.getsockname()[1] for name, listener in listeners.items()}
    netns.remove_address(POD)
    for listener in listeners.values():
        listener.close()


def dump(port: int, items: Sequence[Any] = (), addresses: Sequence[str] = ()) -> str:
    """What kubectl prints for a Service with one endpoint, behind those at `addresses`."""
    metadata = {"namespace": "default", "resourceVersion": "1"}
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {**metadata, "name": "web"},
        "spec": {"clusterIP": VIP, "clusterIPs": [VIP], "ports": [{"name": "http", "port": 80, "protocol": "TCP"}]},
    }
    slice_ = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {**metadata, "name": "web", "labels": {"kubernetes.io/service-name": "web"}},
        "addressType": "IPv4",
        "ports": [{"name": "http", "port": port, "protocol": "TCP"}],
        "endpoints": [{"addresses": [address], "conditions": {"ready": True}} for address in (*addresses, POD)],
    }
    return json.dumps({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": [service, slice_, *items]})


def follow(run_shim: ShimRunner, path: Path) -> ShimProcess:
    return run_shim.start(python(LOOP, VIP), env={"K8SLB_API": f"file:{path}", "K8SLB_SERVICES": "default/web"})


def write_in_place(path: Path, text: str) -> None:
    path.write_text(text)


def replace(path: Path, text: str) -> None:
    new = path.with_name("new")
    new.write_text(text)
    os.rename(new, path)


def halves(path: Path, text: str) -> None:
    with open(path, "w") as file:
        file.write(text[: len(text) // 2])
        file.flush()
        os.fsync(file.fileno())
        file.write(text[len(text) // 2 :])


@pytest.mark.parametrize("change", [write_in_place, replace, halves])
def test_a_changed_file_moves_the_traffic(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path, change: Callable[[Path, str], None]) -> None:
    path = tmp_path / "dump.json"
    change(path, dump(pods["first"]))
    program = follow(run_shim, path)
    program.wait_output("first")
    change(path, dump(pods["second"]))
    program.wait_output("second")
    change(path, dump(pods["last"]))
    expect(program.wait().stdout.split(), ["first", "second", "last"], program.result())


def test_an_exchanged_link_of_a_mounted_config_map_is_noticed(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    for version, pod in enumerate(("first", "last")):
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}" / "dump.json").write_text(dump(pods[pod]))
    os.symlink("..0", tmp_path / "..data")
    os.symlink("..data/dump.json", tmp_path / "dump.json")
    program = follow(run_shim, tmp_path / "dump.json")
    program.wait_output("first")
    os.symlink("..1", tmp_path / "..data_tmp")
    os.rename(tmp_path / "..data_tmp", tmp_path / "..data")
    expect(program.wait().stdout.split(), ["first", "last"], program.result())


@pytest.mark.parametrize(
    "bad",
    ["", "{", "no JSON at all", '{"kind":"List"}', '{"items":[{"kind":"Service"}]}', "[" * 100],
    ids=["empty", "cut", "text", "no-items", "nameless", "deep"],
)
def test_a_bad_document_is_told_and_the_last_good_one_serves(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path, bad: str) -> None:
    path = tmp_path / "dump.json"
    path.write_text(dump(pods["first"]))
    program = follow(run_shim, path)
    program.wait_output("first")
    replace(path, bad)
    program.wait_log(re.escape(f"error: {path}: "))
    replace(path, dump(pods["last"]))
    result = program.wait()
    expect(result.stdout.split(), ["first", "last"], result)


def test_one_bad_item_costs_only_itself(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    bad = {"kind": "Service", "metadata": {"namespace": "default", "name": "bad", "resourceVersion": "1"}, "spec": {"ports": "none"}}
    other = {"kind": "ConfigMap", "metadata": {"namespace": "default", "name": "web"}}
    path.write_text(dump(pods["last"], [bad, other]))
    result = follow(run_shim, path).wait()
    expect(result.stdout.split(), ["last"], result)
    assert "Service default/bad: " in result.log, result


def test_a_file_that_comes_late_is_found(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    program = follow(run_shim, path)
    program.wait_log("No such file")
    replace(path, dump(pods["last"]))
    expect(program.wait().stdout.split()[-1], "last", program.result())


def test_the_log_in_the_same_folder_is_no_change(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    path = tmp_path / "dump.json"
    path.write_text(dump(pods["last"]))
    result = run_shim(
        python(LOOP, VIP),
        env={"K8SLB_API": f"file:{path}", "K8SLB_SERVICES": "default/web", "K8SLB_LOG": f"debug:{tmp_path / 'log'}"},
    )
    expect((tmp_path / "log").read_text().count("EndpointSlices"), 1, result)


def test_no_connection_goes_to_an_address_that_is_no_pods(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    """They led to whatever listens on the program's own loopback, or to the cloud's metadata."""
    path = tmp_path / "dump.json"
    path.write_text(dump(pods["last"], addresses=NOT_OF_A_POD))
    count = 3 * len(NOT_OF_A_POD)
    program = f"""
import socket
for _ in range({count}):
    with socket.create_connection(({VIP!r}, 80), 5) as connection:
        print(connection.recv(100).decode())
"""
    result = run_shim(python(program), env={"K8SLB_API": f"file:{path}", "K8SLB_SERVICES": "default/web"})
    expect(result.stdout.split(), ["last"] * count, result)
    assert f"default/web: {len(NOT_OF_A_POD)} ports, addresses or names are not usable: 127.0.0.1 can be no address" in result.log, result


def test_a_service_cannot_take_an_address_of_this_host(run_shim: ShimRunner, pods: Dict[str, int], tmp_path: Path) -> None:
    """A Service with the VIP 127.0.0.1 drew the program's own connections to its pods."""
    path = tmp_path / "dump.json"
    own = dump(pods["last"]).replace(VIP, "127.0.0.1")
    path.write_text(own)
    program = f"""
import socket
socket.socket().connect_ex(({VIP!r}, 80))
with socket.create_connection(("127.0.0.1", {pods["last"]}), 5) as connection:
    print(connection.recv(100).decode())
"""
    path.write_text(own.replace('"port": 80,', f'"port": {pods["last"]},'))
    result = run_shim(python(program), env={"K8SLB_API": f"file:{path}", "K8SLB_SERVICES": "default/web"})
    expect(result.stdout.split(), ["127.0.0.1"], result)
