# SPDX-License-Identifier: Apache-2.0
"""k8slb run with the real API server: each way to log in, what becomes of the process, and who may use the proxy."""
import json
import os
import signal
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Optional, Sequence

import pytest

from tests.cli.laptop import Laptop, executable
from tests.e2e.common import three
from tests.harness import Build, expect, wait_until
from tests.hazards.guests import as_user, needs_root
from tests.kube.cluster import Pod
from tests.preload.common import client, tally

pytestmark = pytest.mark.clusters("real")

NAME = "web.default.svc.cluster.local"  # no DNS server knows it
Run = Callable[..., "subprocess.CompletedProcess[str]"]


@pytest.fixture
def laptop(cluster: Any, tmp_path: Path) -> Laptop:
    return Laptop(cluster, tmp_path)


def start(build: Build, env: Dict[str, str], arguments: Sequence[object], **options: Any) -> "subprocess.Popen[str]":
    command = [str(build.cli), "run", *map(str, arguments)]
    return subprocess.Popen(command, env=env, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(build: Build, env: Dict[str, str], *arguments: object, **options: Any) -> "subprocess.CompletedProcess[str]":
    process = start(build, env, arguments, **options)
    output, errors = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.returncode, output, errors)


def curl(count: int) -> List[str]:
    return ["curl", "-sS", "-H", "Connection: close", f"http://{NAME}/[1-{count}]"]


def expect_spread(result: "subprocess.CompletedProcess[str]", pods: Sequence[Pod], each: int) -> None:
    expect(tally(result.stdout), Counter({pod.name: each for pod in pods}), result)
    expect((result.returncode, result.stderr), (0, ""), result)


def proxies(laptop: Laptop) -> List[int]:
    """The keepers of kubectl proxies that it has; this namespace has the machine's processes."""
    home = f"HOME={laptop.directory}\0".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if (folder / "comm").read_text() == "k8slb-proxy\n" and home in (folder / "environ").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


# ---- the ways to log in


@pytest.mark.parametrize("login", ["token_file", "token", "certificate", "inline", "plugin"])
def test_each_way_to_log_in(cluster: Any, build: Build, laptop: Laptop, login: str) -> None:
    _service, pods = three(cluster)
    env = laptop.env(getattr(laptop, login)())
    program = client(NAME, 80, 30) if login == "certificate" else curl(30)
    if login == "inline":
        env["KUBECONFIG"] = "kubeconfig"  # by a relative path
    expect_spread(run(build, env, "-s", "web", "--", *program, cwd=laptop.directory), pods, 10)
    expect((laptop.directory / "asked").exists(), login == "plugin")
    # No secret was put into a file.
    held = [path for path in laptop.directory.rglob("*") if path.is_file() and cluster.token in path.read_text(errors="replace")]
    expect({path.name for path in held}, {"token": {"kubeconfig"}, "plugin": {"login"}}.get(login, set()))
    wait_until("the end of the proxy", lambda: not proxies(laptop))


def test_two_contexts(cluster: Any, build: Build, laptop: Laptop) -> None:
    """The namespace is the context's; its cluster and its user are, too."""
    cluster.create_namespace("shop")
    service = cluster.create_service("cart", namespace="shop")
    pods = [cluster.add_pod(f"cart-{i}", {"app": "cart"}, namespace="shop") for i in range(2)]
    cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
    config = json.loads(laptop.token_file().read_text())
    config["users"].append({"name": "nobody", "user": {"token": "wrong"}})
    config["contexts"].append({"name": "shop", "context": {"cluster": "real", "user": "me", "namespace": "shop"}})
    config["contexts"][0]["context"]["user"] = "nobody"
    both = laptop.directory / "both"
    both.write_text(json.dumps(config))
    program = client("cart.shop.svc.cluster.local", 80, 10)
    expect_spread(run(build, laptop.env(both), "--context", "shop", "-s", "cart", "--", *program), pods, 5)
    result = run(build, laptop.env(both), "-s", "cart", "--", *program)
    expect((result.returncode, result.stdout), (125, ""), result)
    assert "401" in result.stderr, result
    result = run(build, laptop.env(both), "--context", "nope", "-s", "cart", "--", *program)
    expect((result.returncode, result.stdout), (125, ""), result)
    assert "nope" in result.stderr and "get-contexts" in result.stderr, result


# ---- what becomes of the process

WATCHED = """
    import os, signal, socket, sys
    def ends(number, frame):
        print("interrupted", flush=True)
        sys.exit(7)
    signal.signal(signal.SIGINT, ends)
    with socket.create_connection((sys.argv[1], 80)) as one:
        one.sendall(b"WHO\\n")
        print(one.recv(100).decode().strip(), os.getpid(), flush=True)
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        print("no child", sorted(map(int, os.listdir("/proc/self/fd")))[:-1], os.environ["LD_PRELOAD"], flush=True)
    while True:
        signal.pause()
"""


def test_the_process_is_the_programs(cluster: Any, build: Build, laptop: Laptop) -> None:
    """Its PID, its signals, its descriptors, its exit status; beside it the proxy, which ends with it."""
    _service, pods = three(cluster)
    env = laptop.env(laptop.token(), LD_PRELOAD="libdl.so.2")
    program = [sys.executable, "-c", textwrap.dedent(WATCHED), NAME]
    process = start(build, env, ["-s", "web", "--", *program], start_new_session=True)
    try:
        pod, pid = process.stdout.readline().split()
        assert pod in {one.name for one in pods}
        expect(int(pid), process.pid)
        expect(process.stdout.readline(), f"no child [0, 1, 2] libdl.so.2:{build.shim}\n")
        ps = subprocess.run(["ps", "-o", "comm=", "--sid", str(process.pid)], capture_output=True, text=True)
        expect(ps.stdout.split(), [Path(f"/proc/{pid}/comm").read_text().strip()])
        (keeper,) = proxies(laptop)
        children = Path(f"/proc/{keeper}/task/{keeper}/children").read_text().split()
        expect(len(children), 1)
        expect(Path(f"/proc/{keeper}/cmdline").read_bytes().rstrip(b"\0"), b"k8slb-proxy")
        assert b"kubectl\0proxy\0" in Path(f"/proc/{children[0]}/cmdline").read_bytes()
        expect_lists_only(cluster, int(pid))
        # As a terminal does at Ctrl-C.
        os.killpg(process.pid, signal.SIGINT)
        expect((process.wait(60), process.stdout.read()), (7, "interrupted\n"))
        wait_until("the end of the proxy", lambda: not Path(f"/proc/{keeper}").exists() and not Path(f"/proc/{children[0]}").exists())
    finally:
        process.kill()
        process.communicate()


def expect_lists_only(cluster: Any, pid: int) -> None:
    """Of another user, by the proxy's port."""
    needs_root()
    environment = dict(line.split("=", 1) for line in Path(f"/proc/{pid}/environ").read_text().split("\0") if "=" in line)
    url = environment["K8SLB_API"]
    expect(environment["K8SLB_NAMES"], "always")
    assert not [name for name, value in environment.items() if cluster.token in value]

    def status(path: str, method: str = "GET") -> str:
        how = ["-I"] if method == "HEAD" else ["-X", method]
        ask = ["curl", "-s", "-m", "30", "-o", "/dev/null", "-w", "%{http_code}", *how, "--path-as-is", url + path]
        return subprocess.run([*as_user(65534), *ask], capture_output=True, text=True).stdout

    slices = "/apis/discovery.k8s.io/v1/endpointslices"
    allowed = ["/api/v1/services", "/api/v1/namespaces/default/services", "/api/v1/endpoints", slices]
    expect([status(path) for path in allowed], ["200"] * len(allowed))
    refused = ["/api/v1/secrets", "/api/v1/namespaces/default/pods", "/api/v1/namespaces/default/services/web", "/version", "/api", "/",
               "/api/v1/namespaces/a/b/services"]
    expect([status(path) for path in refused], ["403"] * len(refused))
    expect(status("/api/v1/services/../secrets"), "307")  # to what is refused above
    for method in ("POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"):
        expect(status("/api/v1/namespaces/default/services", method), "403", method)


def test_the_exit_status_and_nginx(cluster: Any, build: Build, laptop: Laptop) -> None:
    _service, pods = three(cluster)
    env = laptop.env(laptop.token_file())
    for script, status in (("exit 3", 3), ("kill -TERM $$", -signal.SIGTERM)):
        expect(run(build, env, "-s", "web", "--", "sh", "-c", script).returncode, status)
    folder = laptop.directory
    (folder / "nginx.conf").write_text(textwrap.dedent(f"""
        daemon off; worker_processes 1; pid {folder}/pid; error_log stderr error; user root;
        events {{}}
        http {{
            access_log off; client_body_temp_path {folder}/a; proxy_temp_path {folder}/b; fastcgi_temp_path {folder}/c;
            uwsgi_temp_path {folder}/d; scgi_temp_path {folder}/e;
            server {{ listen 127.0.0.1:8181; location / {{ proxy_pass http://{NAME}; }} }}
        }}
    """))
    process = start(build, env, ["-s", "web", "--", "nginx", "-p", folder, "-c", folder / "nginx.conf", "-e", "stderr"])
    try:
        ask = ["curl", "-s", "-f", "http://127.0.0.1:8181/"]
        wait_until("nginx", lambda: subprocess.run(ask, capture_output=True).returncode == 0)
        before = sum(pod.connections() for pod in pods)
        answers = Counter(subprocess.run(ask, capture_output=True, text=True).stdout.strip() for _ in range(30))
        expect(answers, Counter({pod.name: 10 for pod in pods}))
        expect(sum(pod.connections() for pod in pods) - before, 30)
    finally:
        process.terminate()
        process.communicate()
    expect(process.returncode, 0)


def test_settings_are_options(cluster: Any, build: Build, laptop: Laptop) -> None:
    three(cluster)
    env = laptop.env(laptop.token_file(), K8SLB_ATTEMPTS="2", K8SLB_NAMES="resolver")
    result = run(build, env, "-s", "web", "-n", "default", "--policy=random", "--attempts", "5", "env")
    told = dict(line.split("=", 1) for line in result.stdout.splitlines() if line.startswith(("K8SLB_", "LD_")))
    wanted = {
        "K8SLB_SERVICES": "web", "K8SLB_NAMESPACE": "default", "K8SLB_POLICY": "random", "K8SLB_ATTEMPTS": "5", "K8SLB_NAMES": "resolver",
        "K8SLB_API": cluster.url, "K8SLB_CA_FILE": cluster.ca_file, "K8SLB_TOKEN_FILE": cluster.token_file, "LD_PRELOAD": str(build.shim),
    }
    expect(told, wanted, result)
    result = run(build, env, "-s", "web", "--policy=best", "env")
    expect((result.returncode, result.stdout), (125, ""), result)
    assert "K8SLB_POLICY" in result.stderr and "round_robin" in result.stderr, result


# ---- what is refused before anything starts


def refused(build: Build, env: Dict[str, str], *arguments: object, status: int = 125, by: Sequence[str] = ()) -> str:
    """The one line that says why; the program did not run."""
    command = [*by, str(build.cli), "run", *map(str, arguments)]
    result = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120)
    expect((result.returncode, result.stdout), (status, ""), result)
    expect(result.stderr.count("\n"), 1, result)
    return result.stderr


@pytest.fixture
def another_user(build: Build, tmp_path: Path) -> Iterator[Sequence[str]]:
    """Starts a program as nobody, who may read all that is needed here."""
    needs_root()
    for folder in (tmp_path, *tmp_path.parents):
        if folder.stat().st_uid == os.getuid() and str(folder) not in ("/", "/tmp"):
            folder.chmod(folder.stat().st_mode | 0o755)
    yield as_user(65534)


@pytest.mark.clusters("double")
def test_programs_that_no_library_gets_into(cluster: Any, build: Build, tmp_path: Path, another_user: Sequence[str]) -> None:
    """Of each kind a real file."""
    env = {"PATH": os.environ["PATH"], **cluster.env("web")}
    main = tmp_path / "main.c"
    main.write_text("int main(void) { return 0; }\n")

    def compiled(name: str, *flags: str) -> Path:
        subprocess.run(["cc", "-o", str(tmp_path / name), str(main), *flags], check=True)
        return tmp_path / name

    tools = [shutil_copy(build.cli, tmp_path / "k8slb"), shutil_copy(build.shim, tmp_path / "libk8slb.so")]
    own = Build(tmp_path)
    for flags in (["-static"], ["-static-pie"]):
        assert "statically linked" in refused(own, env, compiled("fixed", *flags))
    script = executable(tmp_path / "script", f"#!{tmp_path}/fixed\n")
    assert f"{tmp_path}/fixed is statically linked" in refused(own, env, script)
    assert "is a Go program" in refused(own, env, cluster_program())
    dynamic = compiled("dynamic")
    dynamic.chmod(0o4755)
    assert "is setuid" in refused(own, env, dynamic, by=another_user)
    dynamic.chmod(0o755)
    subprocess.run(["setcap", "cap_net_bind_service+ep", str(dynamic)], check=True)
    assert "has file capabilities" in refused(own, env, dynamic, by=another_user)
    other = compiled("other")
    content = bytearray(other.read_bytes())
    content[18:20] = (243).to_bytes(2, "little")  # e_machine: RISC-V
    other.write_bytes(content)
    assert "is for riscv (64 bits), the library for" in refused(own, env, other)
    assert "No such file" in refused(own, env, tmp_path / "nope", status=127)
    assert "Permission denied" in refused(own, env, main, status=126)
    noexec = tmp_path / "noexec"
    noexec.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(noexec)], check=True)
    try:
        shutil_copy(build.shim, noexec / "libk8slb.so")
        assert "noexec: the loader cannot map it" in refused(own, env, "--library", noexec / "libk8slb.so", "true")
    finally:
        subprocess.run(["umount", str(noexec)], check=True)
    assert "no Service is asked for" in refused(own, {**env, "K8SLB_SERVICES": ""}, "true")
    tools[1].unlink()
    assert "libk8slb.so beside k8slb" in refused(own, env, "true")


def shutil_copy(source: Path, target: Path) -> Path:
    target.write_bytes(source.read_bytes())
    target.chmod(0o755)
    return target


def cluster_program() -> str:
    from tests.kube.process import go_program

    return go_program("controlplane")


def test_pods_that_cannot_be_reached(cluster: Any, build: Build, laptop: Laptop) -> None:
    service = cluster.create_service("web")
    pod = cluster.add_pod("away", {"app": "web"}, ip="10.244.9.9", listen=False)
    subprocess.run(["ip", "addr", "del", "10.244.9.9/32", "dev", "node0"], capture_output=True)
    cluster.wait_endpoints(service, {pod.endpoint})
    env = laptop.env(laptop.token_file())
    line = refused(build, env, "-s", "web", "true")
    assert "pods cannot be reached from here: 10.244.9.9:8080" in line and "K8SLB050" in line, line
    result = run(build, env, "-s", "web", "--unchecked", "sh", "-c", "echo $K8SLB_SERVICES")
    expect((result.returncode, result.stdout, result.stderr), (0, "web\n", ""), result)
