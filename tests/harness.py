# SPDX-License-Identifier: Apache-2.0
"""Running programs under the shim, and comparing what they did."""
import os
import re
import signal
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Callable, Dict, List, Mapping, Optional, Sequence, TypeVar

# What a test waits for may come late on a busy machine. This is when it is said that it will not come, and no measure of speed:
# a test of how long something takes looks at the clock itself.
PATIENCE_S = float(os.environ.get("K8SLB_TEST_PATIENCE_S", 60))

Environment = Mapping[str, Optional[str]]
T = TypeVar("T")


@dataclass(frozen=True)
class Build:
    """Where the Makefile put things."""

    directory: Path

    @property
    def shim(self) -> Path:
        return self.directory / "libk8slb.so"

    @property
    def cli(self) -> Path:
        return self.directory / "k8slb"

    @property
    def programs(self) -> Path:
        """The C programs of tests/preload."""
        return self.directory / "tests" / "programs"

    def preload(self, *before: Path) -> str:
        """LD_PRELOAD for this build, with these libraries before it. AddressSanitizer's runtime must come before everything else in
        the process. ThreadSanitizer's comes after us: it sees no atomic operation that is made below its own epoll_wait(), poll()
        and others that wait (thr->ignore_interceptors), and all plain ones, so it finds races there that are none."""
        runtimes = {name.decode() for name in re.findall(rb"lib[at]san\.so\.\d+", self.shim.read_bytes())}
        first = sorted(name for name in runtimes if "asan" in name)
        last = sorted(runtimes - set(first))
        return " ".join([*first, *map(str, before), str(self.shim), *last])


@dataclass(frozen=True)
class Result:
    args: List[str]
    returncode: Optional[int]  # negative: the signal that ended it; None: it runs
    stdout: str
    stderr: str
    log: str  # what the shim wrote to its K8SLB_LOG file; "" if the test set its own
    seconds: float

    def __str__(self) -> str:
        status = "running" if self.returncode is None else f"status {self.returncode}"
        return (
            f"{' '.join(self.args)}\n  {status} after {self.seconds:.2f} s\n"
            f"--- stdout\n{_end(self.stdout)}\n--- stderr\n{_end(self.stderr)}\n--- shim log\n{_end(self.log)}"
        )


class ShimProcess:
    """A program that runs under the shim. Its output goes to files, so that a child of it that lives on blocks nobody."""

    def __init__(self, args: List[str], env: Mapping[str, str], base: Path, log: Path, cwd: Optional[str], stdin: Optional[str]) -> None:
        self.args = args
        self.log_path = log
        self._stdout, self._stderr = base.with_suffix(".stdout"), base.with_suffix(".stderr")
        self._started = time.monotonic()
        source = base.with_suffix(".stdin")
        source.write_text(stdin or "")
        # To append: a program that opens /proc/self/fd/2 once more, as PHP-FPM does, else writes over what it has said.
        with open(source) as input_, open(self._stdout, "ab") as output, open(self._stderr, "ab") as errors:
            self.process = subprocess.Popen(
                args, stdin=input_, stdout=output, stderr=errors, env=dict(env), cwd=cwd, start_new_session=True
            )

    @property
    def pid(self) -> int:
        return self.process.pid

    def result(self) -> Result:
        """What it did so far."""
        return Result(
            self.args,
            self.process.poll(),
            self._stdout.read_text(errors="replace"),
            self._stderr.read_text(errors="replace"),
            self.log_path.read_text(errors="replace") if self.log_path.exists() else "",
            time.monotonic() - self._started,
        )

    def wait(self, timeout: float = PATIENCE_S) -> Result:
        """Its result; kills it and raises AssertionError when it does not end in time."""
        try:
            self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.stop()
            raise AssertionError(f"did not end within {timeout} s: {self.result()}") from None
        return self.result()

    def wait_output(self, text: str, timeout: float = PATIENCE_S) -> None:
        """Until it, or a child of it, has printed text."""
        wait_until(f"output {text!r}", lambda: text in self.result().stdout, self.result, timeout=timeout)

    def wait_log(self, pattern: str, timeout: float = PATIENCE_S) -> str:
        """The first line of the shim's log that the pattern is found in, once there is one."""

        def look() -> Optional[str]:
            return next((line for line in self.result().log.splitlines() if re.search(pattern, line)), None)

        return wait_until(f"log line {pattern!r}", look, self.result, timeout=timeout) or ""

    def stop(self, number: int = signal.SIGKILL) -> None:
        """Signal the program and its children, and wait for it."""
        try:
            os.killpg(self.process.pid, number)
        except ProcessLookupError:
            pass
        self.process.wait()


class ShimRunner:
    """Starts programs for one test; whatever still runs at its end is killed."""

    def __init__(self, build: Build, directory: Path) -> None:
        self._build = build
        self._directory = directory
        self._processes: List[ShimProcess] = []

    def env(self, extra: Optional[Environment] = None, preload: bool = True) -> Dict[str, str]:
        """The caller's environment without its K8SLB_* and LD_PRELOAD, with the shim and extra; None removes a variable."""
        env = {name: value for name, value in os.environ.items() if not name.startswith("K8SLB_") and name != "LD_PRELOAD"}
        if preload:
            env["LD_PRELOAD"] = self._build.preload()
            # The programs under test may leak as they like; a report about our code ends the program.
            env.setdefault("ASAN_OPTIONS", "detect_leaks=0")
            env.setdefault("UBSAN_OPTIONS", "print_stacktrace=1:halt_on_error=1")
        for name, value in (extra or {}).items():
            if value is None:
                env.pop(name, None)
            else:
                env[name] = str(value)
        return env

    def start(
        self,
        cmd: Sequence[Any],
        env: Optional[Environment] = None,
        preload: bool = True,
        cwd: Optional[str] = None,
        stdin: Optional[str] = None,
    ) -> ShimProcess:
        """Start a program; preload=False for the same without the shim."""
        base = self._directory / f"run{len(self._processes)}"
        log = base.with_suffix(".log")
        # The longer wait: a machine that is busy with other tests must not show the way without a table.
        settings: Dict[str, Optional[str]] = {"K8SLB_LOG": f"debug:{log}", "K8SLB_SYNC_TIMEOUT": "10000"}
        if "tsan" in self._build.preload():
            settings["K8SLB_EVENTS"] = "on"  # it has a thread of its own, so each program has
        settings.update(env or {})
        process = ShimProcess([str(word) for word in cmd], self.env(settings, preload), base, log, cwd, stdin)
        self._processes.append(process)
        return process

    def __call__(self, cmd: Sequence[Any], env: Optional[Environment] = None, timeout: float = PATIENCE_S, **options: Any) -> Result:
        """Run a program to its end. options: as for start()."""
        return self.start(cmd, env, **options).wait(timeout)

    def close(self) -> None:
        for process in self._processes:
            process.stop()


def expect(actual: Any, expected: Any, *logs: Any) -> None:
    """Assert equality; the failure shows both sides and then the logs (strings, Results, clusters' logs())."""
    if actual != expected:
        shown = "".join(f"\n{log}" for log in logs)
        raise AssertionError(f"\n  expected: {expected!r}\n  got:      {actual!r}{shown}")


def wait_until(what: str, condition: Callable[[], T], *shown: Any, timeout: float = PATIENCE_S, pause: float = 0.01) -> T:
    """What the condition returned once that was true. shown: added to the failure; what can be called is called then."""
    deadline = time.monotonic() + timeout
    while True:
        met = condition()
        if met:
            return met
        if time.monotonic() > deadline:
            told = "".join(f"\n{one() if callable(one) else one}" for one in shown)
            raise AssertionError(f"{what}: not after {timeout} s{told}")
        time.sleep(pause)


def counts(quick: T, full: T) -> T:
    """How often to repeat: the quick number, or the full one under K8SLB_TEST_COUNTS=full."""
    return {"quick": quick, "full": full}[os.environ.get("K8SLB_TEST_COUNTS", "quick")]


def _end(text: str, lines: int = 60) -> str:
    all_lines = text.splitlines()
    cut = [f"({len(all_lines) - lines} lines before)"] if len(all_lines) > lines else []
    return "\n".join(cut + all_lines[-lines:])
