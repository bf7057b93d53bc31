# SPDX-License-Identifier: Apache-2.0
"""What the tests of real programs share: one world in which a program runs without and with the shim, and the comparison.

    pytestmark = pytest.mark.clusters("double")

    def test_curl(world: World) -> None:
        web = world.web()                                     # a Service with three pods that answer WHO, HTTP and Redis
        world.both(["curl", "-sS", f"http://{web.vip}/[1-30]"], {web: 30})

`both` runs the command twice, each time in an empty directory of its own, and compares exit code, stdout, stderr and the
descriptors that the program has open when it exits. Without the shim the VIP is served by the kernel (DNAT in turns, as
kube-proxy does it); with it no connection may take that way, and the pods must have got equal shares. Connections are
counted by the kernel where they arrive, so any server can be a pod. The name of a Service (`web.name`) is in /etc/hosts
while a program runs without the shim, and nowhere else.

    git = world.serve("git", 9418, lambda pod, directory: ["git", "daemon", f"--listen={pod.ip}", ...])

runs a real server in each pod: bound to the pod's address and port, its directory to write in. Long-running programs:

    for preload in MODES:                                     # without, then with the shim
        with world.mode(preload):
            server = world.start([...], preload, listening=("127.0.0.1", 8000))
            with world.counting({web: 30}, caught=preload): ...
            seen.append(files_of_tree(server.pid))            # the descriptors of it and of all below it
            server.stop(signal.SIGTERM)

A server that gives up root is started with `world.public_env()`: its workers may read the token, as in a Pod. What still
runs at the end of a test, daemons included, is killed.
"""
import contextlib
import ctypes
import difflib
import json
import os
import pprint
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Mapping, Optional, Sequence, Set, Tuple, Union

from tests.harness import PATIENCE_S, Build, Environment, Result, ShimProcess, ShimRunner, expect, wait_until
from tests.kube.cluster import Cluster, Pod, Service

MODES = (False, True)  # values of preload: first the reference, then the shim
_EXIT_FDS = Path(__file__).with_name("exit_fds.py")
_TABLE = "k8slb_programs"
_PR_SET_CHILD_SUBREAPER = 36
# Settings of the person who runs the tests that would change what these programs do.
_UNWANTED = {name: None for word in ("http_proxy", "https_proxy", "all_proxy", "no_proxy") for name in (word, word.upper())}

Files = Dict[int, str]
Command = Union[Sequence[Any], Callable[[Path], Sequence[Any]]]
Normalise = Callable[[str], str]


@dataclass(frozen=True, eq=False)
class Backend:
    """A Service and its pods."""

    service: Service
    pods: Tuple[Pod, ...]

    @property
    def vip(self) -> str:
        return str(self.service.vip)

    @property
    def port(self) -> int:
        return self.service.port

    @property
    def name(self) -> str:
        return f"{self.service.name}.{self.service.namespace}.svc.cluster.local"

    @property
    def pod_names(self) -> Set[str]:
        return {pod.name for pod in self.pods}


@dataclass(frozen=True)
class Traffic:
    """Connections to one Service in a period."""

    pods: Tuple[int, ...]  # to each pod, however they got there
    vip: int  # of them by the VIP through the kernel

    def __sub__(self, before: "Traffic") -> "Traffic":
        return Traffic(tuple(now - then for now, then in zip(self.pods, before.pods)), self.vip - before.vip)


@dataclass(frozen=True)
class Run:
    result: Result
    files: Files  # open at exit
    traffic: Mapping[Backend, Traffic]
    directory: Path


class World:
    def __init__(self, cluster: Cluster, run_shim: ShimRunner, build: Build, directory: Path) -> None:
        self.cluster = cluster
        self.run_shim = run_shim
        self.build = build
        self.directory = directory
        self.backends: List[Backend] = []
        self._runs = 0
        self._public: Optional[Path] = None
        self._started: Set[int] = set()
        self._strangers = _children(os.getpid())  # processes of the cluster; not ours to end
        # What a program leaves behind becomes our child instead of init's, so that close() can end it.
        _prctl(_PR_SET_CHILD_SUBREAPER, 1)
        _nft(
            f"table inet {_TABLE} {{\n"
            "chain vips {\ntype nat hook output priority -100\n}\n"
            "chain pods {\ntype filter hook input priority 0\n}\n}\n"
        )

    def close(self) -> None:
        """End every process that was started in this world's time, and what these started."""
        self.run_shim.close()

        def gone() -> bool:
            left = _children(os.getpid()) - self._strangers
            for pid in left:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            return not left  # the children of those are ours next

        try:
            wait_until("the end of all processes", gone)
        finally:
            _prctl(_PR_SET_CHILD_SUBREAPER, 0)
            _nft(f"delete table inet {_TABLE}\n")
            if self._public:
                shutil.rmtree(self._public)

    # --- Services

    def web(
        self, name: str = "web", pods: int = 3, ips: Optional[Sequence[str]] = None, port: int = 8080, **spec: Any
    ) -> Backend:
        """A Service whose pods answer the line WHO, HTTP and Redis with their name, at this port. ips: of the pods, where their
        family matters. spec: as for create_service()."""
        spec.setdefault("ports", [{"name": "http", "port": 80, "targetPort": port, "protocol": "TCP"}])
        service = self.cluster.create_service(name, **spec)
        addresses: Sequence[Optional[str]] = ips or [None] * pods
        made = [self.cluster.add_pod(f"{name}-{i}", {"app": name}, ip=ip, port=port) for i, ip in enumerate(addresses)]
        return self._ready(service, made)

    def serve(
        self,
        name: str,
        port: int,
        command: Callable[[Pod, Path], Sequence[Any]],
        pods: int = 3,
        env: Optional[Environment] = None,
        ips: Optional[Sequence[str]] = None,
        **spec: Any,
    ) -> Backend:
        """A Service whose pods are real servers without the shim, at the port pod.port of the address pod.ip (the same port
        as the Service's). command: of one pod, with a directory of its own. ips: of the pods, where their family matters."""
        ports = [{"name": name, "port": port, "targetPort": port, "protocol": "TCP"}]
        service = self.cluster.create_service(name, ports=ports, **spec)
        made = []
        for i in range(pods):
            address = ips[i] if ips else None
            pod = self.cluster.add_pod(f"{name}-{i}", {"app": name}, port=port, port_name=name, listen=False, ip=address)
            directory = self.new_directory(pod.name)
            self.start(command(pod, directory), preload=False, env=env, cwd=directory, listening=pod.endpoint)
            made.append(pod)
        return self._ready(service, made)

    def _ready(self, service: Service, pods: List[Pod]) -> Backend:
        self.cluster.wait_endpoints(service, {pod.endpoint for pod in pods})
        backend = Backend(service, tuple(pods))
        family = "ip6" if ":" in backend.vip else "ip"
        places = ", ".join(f"{i} : {pod.ip} . {pod.port}" for i, pod in enumerate(pods))
        lines = [f"add counter inet {_TABLE} {service.name}_vip"]
        lines.append(
            f"add rule inet {_TABLE} vips {family} daddr {backend.vip} tcp dport {backend.port} counter name {service.name}_vip "
            f"dnat {family} addr . port to numgen inc mod {len(pods)} map {{ {places} }}"
        )
        for i, pod in enumerate(pods):
            counter = f"{service.name}_{i}"
            lines.append(f"add counter inet {_TABLE} {counter}")
            lines.append(
                f"add rule inet {_TABLE} pods {family} daddr {pod.ip} tcp dport {pod.port} tcp flags & (syn|ack) == syn "
                f"counter name {counter}"
            )
        _nft("\n".join(lines) + "\n")
        self.backends.append(backend)
        return backend

    @contextlib.contextmanager
    def refusing(self, backend: Backend) -> Iterator[None]:
        """As kube-proxy answers for a Service without endpoints: connections to its VIP are refused by the kernel."""
        family = "ip6" if ":" in backend.vip else "ip"
        _nft(
            f"add chain inet {_TABLE} none {{ type filter hook output priority -150 ; }}\n"  # before the one of the VIPs
            f"add rule inet {_TABLE} none {family} daddr {backend.vip} tcp dport {backend.port} reject with tcp reset\n"
        )
        try:
            yield
        finally:
            _nft(f"flush chain inet {_TABLE} none\ndelete chain inet {_TABLE} none\n")

    @contextlib.contextmanager
    def served_by(self, backend: Backend, pods: Sequence[Pod]) -> Iterator[Callable[[], int]]:
        """As a kube-proxy that knows who is dead: the VIP leads to these pods alone. Yields how often it was dialled so far; that
        is not counted as traffic by the VIP."""
        family = "ip6" if ":" in backend.vip else "ip"
        places = ", ".join(f"{i} : {pod.ip} . {pod.port}" for i, pod in enumerate(pods))
        _nft(
            f"add counter inet {_TABLE} served\n"
            f"add chain inet {_TABLE} alive {{ type nat hook output priority -150 ; }}\n"  # before the one of the VIPs
            f"add rule inet {_TABLE} alive {family} daddr {backend.vip} tcp dport {backend.port} counter name served "
            f"dnat {family} addr . port to numgen inc mod {len(pods)} map {{ {places} }}\n"
        )
        try:
            yield lambda: self._counters()["served"]
        finally:
            _nft(
                f"flush chain inet {_TABLE} alive\ndelete chain inet {_TABLE} alive\ndelete counter inet {_TABLE} served\n"
            )

    # --- counting

    def _counters(self) -> Dict[str, int]:
        listed = json.loads(_output("nft", "-j", "list", "counters", "table", "inet", _TABLE))["nftables"]
        return {item["counter"]["name"]: item["counter"]["packets"] for item in listed if "counter" in item}

    def traffic(self, backend: Backend) -> Traffic:
        """All connections since the Service was made."""
        packets = self._counters()
        name = backend.service.name
        return Traffic(tuple(packets[f"{name}_{i}"] for i in range(len(backend.pods))), packets[f"{name}_vip"])

    @contextlib.contextmanager
    def counting(
        self, wanted: Mapping[Backend, int], caught: bool, uneven: int = 1, shown: Callable[[], Any] = lambda: ""
    ) -> Iterator[None]:
        """Expect so many connections to these Services. caught: all of them past the VIP, or else all of them by it. Pods
        differ by at most `uneven` (one for each process that goes round by itself)."""
        before = {backend: self.traffic(backend) for backend in wanted}
        yield
        for backend, count in wanted.items():
            told = self.traffic(backend) - before[backend]
            context = (backend.service.name, told, shown(), self.cluster.logs())
            expect((sum(told.pods), told.vip), (count, 0 if caught else count), *context)
            spread = max(told.pods) - min(told.pods)
            assert spread <= uneven, "\n".join(["unequal shares:", *map(str, context)])

    # --- running

    def new_directory(self, name: str) -> Path:
        self._runs += 1
        result = self.directory / f"{name}.{self._runs}"
        result.mkdir()
        return result

    def env(self, extra: Optional[Environment] = None, **settings: Optional[str]) -> Dict[str, Optional[str]]:
        """The shim's settings for all Services of this world, and a plain environment otherwise."""
        services = ",".join(backend.service.name for backend in self.backends)
        return {**_UNWANTED, "LC_ALL": "C.UTF-8", **self.cluster.env(services, **settings), **(extra or {})}

    def public_directory(self) -> Path:
        """A directory that every user may read."""
        if self._public is None:
            self._public = Path(tempfile.mkdtemp(prefix="k8slb-public-"))
            self._public.chmod(0o755)
        return self._public

    def public_env(self) -> Dict[str, Optional[str]]:
        """env() with the credentials in files that every user may read, as they are in a Pod."""
        settings = {}
        for name in ("K8SLB_TOKEN_FILE", "K8SLB_CA_FILE"):
            source = self.env()[name]
            if source:
                copy = self.public_directory() / name
                copy.write_bytes(Path(source).read_bytes())
                copy.chmod(0o644)
                settings[name] = str(copy)
        return self.env(settings)

    @contextlib.contextmanager
    def mode(self, preload: bool) -> Iterator[None]:
        """Around a program that looks up names: without the shim they are in /etc/hosts."""
        with contextlib.nullcontext() if preload else self._names():
            yield

    def leave_table(self, env: Optional[Environment] = None, user: str = "root") -> None:
        """As after a program of this user that has just ended. A first connection that does not block waits 300 ms for a
        table, which a busy machine may need to list all anew; one that was left is shown within that time."""
        if self.backends:
            change_user = [] if user == "root" else ["setpriv", f"--reuid={user}", "--clear-groups", "--"]
            self.run_shim([*change_user, "getent", "ahosts", self.backends[0].name], env=self.env(env))

    def start(
        self,
        command: Sequence[Any],
        preload: bool,
        env: Optional[Environment] = None,
        cwd: Optional[Path] = None,
        stdin: Optional[str] = None,
        listening: Optional[Tuple[str, int]] = None,
    ) -> ShimProcess:
        """Start a program; listening: return once it accepts connections at this address."""
        if preload:
            self.leave_table(env)
        process = self.run_shim.start(command, env=self.env(env), preload=preload, cwd=str(cwd) if cwd else None, stdin=stdin)
        self._started.add(process.pid)
        if listening:
            wait_listening(listening, process)
        return process

    def run(
        self, command: Command, preload: bool, env: Optional[Environment] = None, stdin: Optional[str] = None, timeout: float = PATIENCE_S
    ) -> Run:
        """Run a program to its end in a new directory, which is its home too. A function as command is given the
        directory first, to put files there."""
        directory = self.new_directory("with" if preload else "without")
        words = command(directory) if callable(command) else command
        report = self.directory / f"{directory.name}.files"
        if preload:
            self.leave_table(env)
        settings = dict(self.env({"HOME": str(directory), **(env or {})}))
        if preload:
            full = self.run_shim.env(settings)
            settings = {**settings, **full, "TRACED_PRELOAD": full["LD_PRELOAD"], "LD_PRELOAD": None}
        before = {backend: self.traffic(backend) for backend in self.backends}
        tracer = [sys.executable, "-I", "-S", _EXIT_FDS, report]
        with self.mode(preload):
            process = self.run_shim.start([*tracer, *words], env=settings, preload=False, cwd=str(directory), stdin=stdin)
            result = process.wait(timeout)
        assert report.exists(), f"no exit seen: {result}"
        files = {int(number): _kind(target, directory) for number, target in json.loads(report.read_text()).items()}
        return Run(result, files, {backend: self.traffic(backend) - before[backend] for backend in self.backends}, directory)

    def orphans(self) -> Set[int]:
        """Processes that a program has left behind, and that still run: daemons."""
        found = _children(os.getpid()) - self._strangers - self._started
        return {pid for pid in found if os.waitpid(pid, os.WNOHANG) == (0, 0)}

    def both(
        self,
        command: Command,
        wanted: Mapping[Backend, int],
        uneven: int = 1,
        caught: bool = True,
        same: Normalise = lambda text: text,
        same_files: Callable[[Files], Any] = dict,
        returncode: int = 0,
        env: Optional[Environment] = None,
        stdin: Optional[str] = None,
        timeout: float = PATIENCE_S,
    ) -> Tuple[Run, Run]:
        """Run a program without and with the shim and compare. wanted: connections to each Service, in each of the runs.
        same: takes out of stdout and stderr what differs between any two runs; names of pods and of the run's directory
        are taken out already. same_files: of the descriptors at exit, what is alike in any two runs. caught: False for
        programs that the shim cannot see. Returns both runs."""
        runs: List[Run] = []
        for preload in MODES:
            with self.counting(wanted, preload and caught, uneven, lambda: runs[-1].result if runs else ""):
                runs.append(self.run(command, preload, env, stdin, timeout))
        plain, shim = runs
        context = ("without:", plain.result, "with:", shim.result)
        expect(shim.result.returncode, plain.result.returncode, *context)
        expect(shim.result.returncode, returncode, *context)
        for stream in ("stdout", "stderr"):
            told = [same(self.without_names(getattr(run.result, stream), run)) for run in runs]
            expect_alike([text.split("\n") for text in told], stream, *context)
        expect_alike([same_files(run.files) for run in runs], "descriptors at exit", *context)
        return plain, shim

    def without_names(self, text: str, run: Optional[Run] = None) -> str:
        """POD for the name of any pod, DIRECTORY for the directory of a run."""
        if run:
            text = text.replace(str(run.directory), "DIRECTORY").replace(run.directory.name, "DIRECTORY")
        names = "|".join(re.escape(name) for backend in self.backends for name in sorted(backend.pod_names, reverse=True))
        return re.sub(rf"\b(?:{names})\b", "POD", text) if names else text

    @contextlib.contextmanager
    def _names(self) -> Iterator[None]:
        hosts = self.directory / "hosts"
        lines = [f"{backend.vip} {backend.name} {backend.service.name}" for backend in self.backends]
        hosts.write_text("\n".join(["127.0.0.1 localhost", *lines, ""]))
        _output("mount", "--bind", str(hosts), "/etc/hosts")
        try:
            yield
        finally:
            _output("umount", "/etc/hosts")


def expect_alike(seen: Sequence[Any], *context: Any) -> None:
    """Two records, of a program without the shim and with it, are equal; the failure shows where they are not."""
    plain, shim = seen
    left, right = [pprint.pformat(one, width=140).splitlines() for one in seen]
    difference = "\n".join(difflib.unified_diff(left, right, "without", "with", n=0, lineterm=""))
    expect(shim == plain, True, difference, *context)


def same_lines(text: str) -> str:
    """For `same`: the order of lines is left to chance."""
    return "\n".join(sorted(text.splitlines()))


def without(*patterns: str) -> Normalise:
    """For `same`: what these regular expressions match differs between any two runs. ^ and $ are ends of a line."""
    everything = re.compile("|".join(f"(?:{pattern})" for pattern in patterns), re.MULTILINE)
    return lambda text: everything.sub("*", text)


def wait_listening(address: Tuple[str, int], process: Optional[ShimProcess] = None) -> None:
    """Until somebody accepts connections there."""

    def look() -> bool:
        assert process is None or process.process.poll() is None, f"ended: {process and process.result()}"
        with contextlib.suppress(OSError), socket.create_connection(address, 1):
            return True
        return False

    wait_until(f"a server at {address}", look, process.result if process else "", pause=0.03)


def files_of_tree(pid: int, numbered: bool = True) -> "Counter[Tuple[str, ...]]":
    """The process and all below it: how often there is one of this name with these descriptors. numbered: False where the
    order in which processes start decides about the numbers. Waits until nothing changes any more."""

    def look() -> "Counter[Tuple[str, ...]]":
        found: "Counter[Tuple[str, ...]]" = Counter()
        for one in tree(pid):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                files = files_of(one)
                listed = [f"{number} {kind}" if numbered else kind for number, kind in sorted(files.items())]
                found[(name_of(one), *(listed if numbered else sorted(listed)))] += 1
        return found

    last = [look()]

    def unchanged() -> bool:
        last.append(look())
        return len(last) > 3 and last[-1] == last[-2] == last[-3]

    wait_until("descriptors that stay", unchanged, lambda: last[-3:], pause=0.05)
    return last[-1]


def files_of(pid: int) -> Files:
    """The open descriptors of a process by their kind: sockets and pipes without their numbers."""
    found: Files = {}
    for number in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            found[int(number)] = _kind(os.readlink(f"/proc/{pid}/fd/{number}"))
    return found


def name_of(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def tree(pid: int) -> List[int]:
    """A process and all below it; those that run, in the order of their numbers."""
    found = [pid]
    for one in found:
        found.extend(sorted(_children(one)))
    return found


def _children(pid: int) -> Set[int]:
    found: Set[int] = set()
    with contextlib.suppress(FileNotFoundError):  # of a process that has ended meanwhile
        for task in Path(f"/proc/{pid}/task").glob("*/children"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found.update(map(int, task.read_text().split()))
    return found


def _kind(target: str, directory: Optional[Path] = None) -> str:
    """What a descriptor is, equal in any two runs of one program."""
    target = re.sub(r"^(socket|pipe):\[\d+\]$", r"\1", target)
    target = re.sub(r"\w{6,8} \(deleted\)$", "* (deleted)", target)  # a temporary file
    target = re.sub(r"/run\d+\.(std\w+)$", r"/\1", target)
    return target.replace(str(directory), "DIRECTORY") if directory else target


def _prctl(option: int, value: int) -> None:
    if ctypes.CDLL(None, use_errno=True).prctl(option, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def _nft(rules: str) -> None:
    result = subprocess.run(["nft", "-f", "-"], input=rules, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"nft: {result.stderr}\n{rules}")


def _output(*command: str) -> str:
    result = subprocess.run(command, capture_output=True, text=True)
    if result.returncode:
        raise RuntimeError(f"{' '.join(command)}: {result.stderr}")
    return result.stdout
