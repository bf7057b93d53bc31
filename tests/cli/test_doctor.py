# SPDX-License-Identifier: Apache-2.0
"""k8slb doctor in broken situations: its first line names the cause. What it says of each stands in docs/troubleshooting.md, as it
said it here: K8SLB_TEST_WRITE=1 writes it there."""
import base64
import json
import os
import re
import signal
import socket
import subprocess
from pathlib import Path
from typing import Any, Dict, List

import pytest

from tests.agent.common import Agents
from tests.cli.common import HOLDS, document, endpoint, run_cli, service, slice_of
from tests.cli.laptop import Laptop
from tests.e2e.common import three
from tests.harness import Build, ShimRunner, expect, wait_until
from tests.hazards.guests import as_user, needs_root
from tests.preload.common import python

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs/troubleshooting.md"


class Doctor:
    """Runs it, and compares what it says with the page."""

    def __init__(self, build: Build, directory: Path) -> None:
        self._build = build
        self._directory = directory

    def __call__(self, cluster: Any, *arguments: object, status: int = 1, **env: Any) -> Dict[str, Any]:
        result = run_cli(self._build, "doctor", "-o", "json", *arguments, env=env)
        expect((result.returncode, result.stderr), (status, ""), result)
        return json.loads(result.stdout)

    def expect(self, cluster: Any, name: str, problem: str, words: str, *arguments: object, status: int = 1, **env: Any) -> str:
        """It says so in its first line, and the page shows it."""
        result = run_cli(self._build, "doctor", "-q", *arguments, env=env)
        expect((result.returncode, result.stderr), (status, ""), result)
        assert result.stdout.startswith(f"{problem}: ") and words in result.stdout.splitlines()[0], result
        shown = self._shown(cluster, " ".join(["k8slb doctor -q", *map(str, arguments)]), result.stdout)
        text = PAGE.read_text()
        match = re.search(rf"(<!-- captured: {name} -->\n```\n)(.*?)(```\n)", text, re.DOTALL)
        assert match, f"{PAGE} has no place for {name}:\n{shown}"
        if os.environ.get("K8SLB_TEST_WRITE") == "1":
            PAGE.write_text(text[: match.start()] + match[1] + shown + match[3] + text[match.end():])
        else:
            expect(match[2], shown, result)
        return result.stdout

    def _shown(self, cluster: Any, command: str, output: str) -> str:
        """Without what is another one each time."""
        text = f"$ {command}\n{output}"
        found = {str(self._build.directory): "/usr/lib/k8slb", str(self._directory): "/srv"}
        if cluster:
            found.update({cluster.url: "https://10.96.0.1:443", cluster.url.partition("://")[2]: "10.96.0.1:443"})
        for one, words in found.items():
            text = text.replace(one, words)
        text = re.sub(r"\b\d+ (m?s)\b", r"12 \1", text)
        text = re.sub(r"/\S*/k8slb-controlplane", "/usr/bin/program", text)
        return re.sub(r"10\.244\.\d+\.\d+", "10.244.0.5", text)


@pytest.fixture
def doctor(build: Build, tmp_path: Path) -> Doctor:
    return Doctor(build, tmp_path)


# ---- the program and the library


@pytest.fixture
def dump(tmp_path: Path) -> Dict[str, str]:
    """Settings that need no API server."""
    (tmp_path / "dump.json").write_text(json.dumps(document(service(), slice_of("web", endpoint("10.244.0.1")))))
    return {"K8SLB_API": f"file:{tmp_path}/dump.json", "K8SLB_SERVICES": "shop/web", "K8SLB_NAMES": "always"}


def test_a_static_program(doctor: Doctor, dump: Dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "main.c"
    source.write_text("int main(void) { return 0; }\n")
    subprocess.run(["cc", "-static", "-o", str(tmp_path / "app"), str(source)], check=True)
    doctor.expect(None, "static", "K8SLB011", "statically linked", "--", tmp_path / "app", **dump)


def test_a_go_program(doctor: Doctor, dump: Dict[str, str], tmp_path: Path) -> None:
    from tests.kube.process import go_program

    doctor.expect(None, "go", "K8SLB012", "is a Go program", "--", go_program("controlplane"), **dump)


@pytest.mark.parametrize("setting, level", [("auto", "ok"), ("off", "fail")])
def test_a_go_program_that_the_loader_loads(build: Build, dump: Dict[str, str], setting: str, level: str) -> None:
    from tests.programs.gobuilds import built

    result = run_cli(build, "doctor", "-o", "json", "--", built("pie"), env={**dump, "K8SLB_GO": setting})
    (found,) = [check for check in json.loads(result.stdout)["checks"] if check["check"] == "go"]
    expect(found["level"], level, result)


def test_a_library_that_cannot_be_mapped(doctor: Doctor, build: Build, dump: Dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "noexec").mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "noexec", "tmpfs", str(tmp_path / "noexec")], check=True)
    try:
        copy = tmp_path / "noexec" / "libk8slb.so"
        copy.write_bytes(build.shim.read_bytes())
        doctor.expect(None, "noexec", "K8SLB004", "noexec", "--library", copy, **dump)
    finally:
        subprocess.run(["umount", str(tmp_path / "noexec")], check=True)


def test_no_service_is_configured(doctor: Doctor, dump: Dict[str, str]) -> None:
    doctor.expect(None, "no-service", "K8SLB002", "no Service is configured", **{**dump, "K8SLB_SERVICES": ""})


def test_a_mesh(doctor: Doctor, dump: Dict[str, str], network: None) -> None:
    with socket.create_server(("127.0.0.1", 15001)), socket.create_server(("127.0.0.1", 15006)):
        doctor.expect(None, "mesh", "K8SLB051", "Istio's proxy is in this Pod", **dump)
    result = run_cli(doctor._build, "doctor", "-q", env=dump)
    expect((result.returncode, result.stdout), (0, "Nothing is wrong.\n"), result)


def test_programs_that_dislike_a_preload(doctor: Doctor, dump: Dict[str, str], tmp_path: Path) -> None:
    """Those of the chart, all of them."""
    names = re.findall(r"[\w-]+", ",".join(re.findall(r"^  programs: \[(.*)\]$", (ROOT / "deploy/chart/files/programs.yaml").read_text(), re.MULTILINE)))
    assert "scylla" in names and len(names) > 5, names
    for name in names:
        (tmp_path / name).symlink_to("/bin/true")
        expect(doctor(None, "--", tmp_path / name, **dump)["cause"], "K8SLB016", name)


def test_what_the_resolver_does_with_names(doctor: Doctor, dump: Dict[str, str], network: None) -> None:
    """By the resolv.conf of a Pod in the namespace default."""

    def told(**env: str) -> Any:
        return next((one["level"], one["what"]) for one in doctor(None, status=0, **{**dump, **env})["checks"] if one["check"] == "names")

    services = {"K8SLB_NAMES": "resolver", "K8SLB_SERVICES": "web shop/web *", "K8SLB_NAMESPACE": "default"}
    words = "the resolver asks for names of cluster.local; default/web is web here, shop/web is web.shop"
    answer = doctor(None, **{**dump, **services})  # the dump has no default/web
    expect(next((one["level"], one["what"]) for one in answer["checks"] if one["check"] == "names"), ("ok", words))
    expect(told(LOCALDOMAIN="example.com", K8SLB_NAMES="resolver")[0], "warn")
    expect(told()[0], "ok")


# ---- the API server


@pytest.mark.clusters("double")
def test_the_api_server_is_down(cluster: Any, doctor: Doctor) -> None:
    three(cluster)
    env = cluster.env("web", K8SLB_NAMES="always")
    answer = doctor(cluster, status=0, **env)
    expect([one for one in answer["checks"] if one["level"] in ("warn", "fail")], [])
    expect({one["check"]: one["level"] for one in answer["checks"]}["route"], "ok")
    cluster.stop_api()
    doctor.expect(cluster, "api-down", "K8SLB022", "does not answer", **env)


@pytest.mark.clusters("double")
def test_a_service_that_is_not_there(cluster: Any, doctor: Doctor) -> None:
    three(cluster)
    doctor.expect(cluster, "wrong-name", "K8SLB027", "there is no Service default/wep", **cluster.env("wep", K8SLB_NAMES="always"))
    answer = doctor(cluster, **cluster.env("web:99"))
    assert "has no port 99" in next(one["what"] for one in answer["checks"] if one["id"] == answer["cause"]), answer


@pytest.mark.clusters("real")
def test_the_wrong_authority(cluster: Any, doctor: Doctor) -> None:
    env = cluster.env("web", K8SLB_CA_FILE=cluster.clients.ca_file, K8SLB_NAMES="always")
    output = doctor.expect(cluster, "wrong-ca", "K8SLB023", "its certificate is not trusted", **{**env, "K8SLB_CA_FILE": copy_of(doctor, cluster.clients.ca_file)})
    assert "K8SLB_CA_FILE" in output


def copy_of(doctor: Doctor, path: str) -> str:
    """With a name that is the same each time."""
    target = doctor._directory / Path(path).name
    target.write_bytes(Path(path).read_bytes())
    return str(target)


@pytest.mark.clusters("real")
def test_no_rights(cluster: Any, doctor: Doctor, tmp_path: Path) -> None:
    """And its remedy, applied as it stands, is one."""
    three(cluster)
    (tmp_path / "token").write_text(cluster.create_token("nobody"))
    env = cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token"), K8SLB_NAMES="always")
    output = doctor.expect(
        cluster, "no-rights", "K8SLB025", "system:serviceaccount:default:nobody may not list and watch services, list and watch endpointslices", **env
    )
    lines = output.split("(kubectl apply -f -):\n")[1].splitlines()
    (tmp_path / "role.yaml").write_text("".join(f"{line.strip()}\n" for line in lines))
    cluster.kubectl("apply", "-f", str(tmp_path / "role.yaml"))
    try:
        wait_until("the rights", lambda: run_cli(doctor._build, "doctor", "-q", env=env).returncode == 0)
    finally:
        cluster.kubectl("delete", "-f", str(tmp_path / "role.yaml"))


def signed(cluster: Any, token: str, directory: Path) -> str:
    """The token with times of the past, signed by the cluster's own key."""

    def encoded(data: bytes) -> str:
        return base64.urlsafe_b64encode(data).rstrip(b"=").decode()

    def integer(at: int) -> bytes:
        return der[at + 2: at + 2 + der[at + 1]]

    header, claims, _signature = (base64.urlsafe_b64decode(part + "===") for part in token.split("."))
    old = {**json.loads(claims), "iat": 1_600_000_000, "nbf": 1_600_000_000, "exp": 1_600_003_600}
    text = f"{encoded(header)}.{encoded(json.dumps(old).encode())}"
    (directory / "text").write_text(text)
    key = Path(cluster.kubeconfig).with_name("service-account.key")
    der = subprocess.run(["openssl", "dgst", "-sha256", "-sign", str(key), str(directory / "text")], check=True, capture_output=True).stdout
    numbers = [integer(2), integer(4 + der[3])]
    return f"{text}.{encoded(b''.join(number.lstrip(bytes(1)).rjust(32, bytes(1)) for number in numbers))}"


@pytest.mark.clusters("real")
def test_an_expired_token(cluster: Any, doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(signed(cluster, cluster.token, tmp_path))
    doctor.expect(
        cluster, "expired-token", "K8SLB024", "has expired", **cluster.env("web", K8SLB_TOKEN_FILE=str(tmp_path / "token"), K8SLB_NAMES="always")
    )


@pytest.mark.clusters("double")
def test_no_route_to_pods(cluster: Any, doctor: Doctor) -> None:
    made = cluster.create_service("web")
    pod = cluster.add_pod("away", {"app": "web"}, listen=False)
    cluster.wait_endpoints(made, {pod.endpoint})
    subprocess.run(["ip", "addr", "del", f"{pod.ip}/32", "dev", "node0"], capture_output=True)
    doctor.expect(cluster, "no-route", "K8SLB050", "pods cannot be reached from here", **cluster.env("web", K8SLB_NAMES="always"))


# ---- the table


def readable(doctor: Doctor, path: str) -> Path:
    """A copy that any user may read."""
    for folder in (doctor._directory, *doctor._directory.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    copy = Path(copy_of(doctor, path))
    copy.chmod(0o644)
    return copy


def agent_env(table: Path, **extra: str) -> Dict[str, str]:
    return {"K8SLB_TABLE": str(table), "K8SLB_SERVICES": "web", "K8SLB_NAMES": "always", **extra}


@pytest.mark.clusters("double")
def test_a_table_of_another_user(cluster: Any, doctor: Doctor, agents: Agents, dump: Dict[str, str], tmp_path: Path) -> None:
    """Of an agent that is neither root nor the reader's user."""
    needs_root()
    for folder in (tmp_path, *tmp_path.parents):
        if str(folder) not in ("/", "/tmp"):
            folder.chmod(0o755)
    place = tmp_path / "agent"
    place.mkdir()
    os.chown(place, 1234, 1234)
    by = as_user(1234)
    agents.run(cluster, place / "table", env={**dump, "K8SLB_TOKEN_FILE": None, "K8SLB_CA_FILE": None}, by=by)
    env = agent_env(place / "table")
    doctor.expect(cluster, "table-of-another-user", "K8SLB031", "is of user 1234, whom user 0 does not believe", **env)
    doctor(cluster, status=0, **env, K8SLB_TABLE_UID="1234")


@pytest.mark.clusters("double")
def test_an_old_table_and_a_stopped_agent(cluster: Any, doctor: Doctor, agents: Agents, tmp_path: Path) -> None:
    three(cluster)
    table = tmp_path / "agent" / "table"
    agent = agents.run(cluster, table, "--retry-delay", "1")
    doctor(cluster, status=0, **agent_env(table))
    cluster.stop_api()
    env = agent_env(table, K8SLB_MAX_AGE="1")
    wait_until("an old table", lambda: run_cli(doctor._build, "doctor", "-q", env=env).returncode == 1)
    doctor.expect(cluster, "old-table", "K8SLB033", "is old", **env)
    agent.process.send_signal(signal.SIGSTOP)
    env = agent_env(table, K8SLB_MAX_AGE="0")
    wait_until("its silence", lambda: run_cli(doctor._build, "doctor", "-q", env=env).returncode == 1)
    expect(doctor(cluster, **env)["cause"], "K8SLB032")
    agent.process.send_signal(signal.SIGCONT)
    agent.end()
    doctor(cluster, **agent_env(table))


@pytest.mark.clusters("double")
def test_a_stopped_writer(cluster: Any, doctor: Doctor, run_shim: ShimRunner) -> None:
    """Of the table that the programs of a user share."""
    service, _pods = three(cluster)
    env = cluster.env("web", K8SLB_NAMES="always")
    program = run_shim.start(python(HOLDS, service.vip, 80), env=env)
    program.wait_output("connected")
    table = next(one for one in doctor(cluster, status=0, **env)["checks"] if one["check"] == "table")
    assert table["level"] == "ok" and "that programs of this user share: written" in table["what"], table
    program.process.send_signal(signal.SIGSTOP)
    wait_until("its silence", lambda: run_cli(doctor._build, "doctor", "-q", env=env).returncode == 1)
    doctor.expect(cluster, "stopped-writer", "K8SLB032", "has said nothing for", **env)


@pytest.mark.clusters("double")
def test_a_look_as_another_user(cluster: Any, doctor: Doctor, run_shim: ShimRunner) -> None:
    service, _pods = three(cluster)
    needs_root()
    env = cluster.env("web", K8SLB_NAMES="always", **{
        name: str(readable(doctor, path)) for name, path in cluster.env("web").items() if name.endswith("_FILE")
    })
    program = run_shim.start([*as_user(1234), *python(HOLDS, service.vip, 80)], env=env)
    program.wait_output("connected")
    doctor.expect(cluster, "other-user", "K8SLB034", "none is of user 0, who looks: of user 1234", status=0, **env)


# ---- the forms


def test_every_problem_has_its_anchor() -> None:
    """And nothing else has one."""
    header = (ROOT / "cli/finding.h").read_text().split("enum problem {")[1].split("};")[0]
    numbers: List[int] = []
    for _name, given in re.findall(r"\b(PROBLEM_\w+)(?: = (\d+))?", header):
        numbers.append(int(given) if given else numbers[-1] + 1)
    assert len(numbers) > 25, header
    page = PAGE.read_text()
    expect(re.findall(r'<a id="(K8SLB\d+)"></a>', page), [f"K8SLB{number:03}" for number in numbers])
    used = set(re.findall(r"\bPROBLEM_[A-Z_]+\b", "".join(path.read_text() for path in (ROOT / "cli").glob("*.c"))))
    expect(sorted({name for name, _given in re.findall(r"\b(PROBLEM_\w+)( =)?", header)} - used), [])


def test_colour_is_for_terminals(build: Build, dump: Dict[str, str]) -> None:
    """And with NO_COLOR not even for them."""
    for extra, coloured in (({}, True), ({"NO_COLOR": "1"}, False), ({"TERM": "dumb"}, False)):
        command = ["script", "-qec", f"{build.cli} doctor", "/dev/null"]
        env = {**os.environ, "TERM": "xterm", **dump, **extra}
        output = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60).stdout
        assert "K8SLB003" in output
        expect("\033[" in output, coloured, output)
    assert "\033" not in run_cli(build, "doctor", env=dump).stdout


@pytest.mark.clusters("real")
def test_before_injection(cluster: Any, doctor: Doctor, build: Build, tmp_path: Path) -> None:
    laptop = Laptop(cluster, tmp_path)
    result = run_cli(build, "doctor", "--pre", env=laptop.env(laptop.token_file()))
    expect(result.returncode, 0, result)
    lines = {line.split()[2]: line for line in result.stdout.splitlines()[2:]}
    assert lines["api"].startswith("ok    K8SLB070") and "Kubernetes v1." in lines["api"], result
    assert lines["policies"].startswith("ok") and lines["images"].startswith("ok"), result
