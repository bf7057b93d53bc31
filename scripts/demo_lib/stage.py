# SPDX-License-Identifier: Apache-2.0
"""Runs the programs of one stage and keeps what they answered."""
import os
import subprocess
import threading
import time
from typing import Callable, Dict, List, Mapping, NamedTuple, Sequence

from scripts.demo_lib.picture import Picture

_PROGRESS_TIMEOUT_S = 15.0  # for the next milestone of a stage; each takes about a second


class Answer(NamedTuple):
    when: float  # time.monotonic()
    column: int
    pod: str


class DemoError(Exception):
    """What went wrong, in words for the reader."""


class Stage:
    """One picture, and the programs that feed it. Used as a context manager: its end ends the programs."""

    def __init__(self, picture: Picture, pods: Sequence[str], env: Mapping[str, str]) -> None:
        self.answers: List[Answer] = []
        self.errors: List[str] = []
        self._picture = picture
        self._known = set(pods)
        self._env = dict(env)
        self._changed = threading.Condition()
        self._ending = threading.Event()
        self._running: List["subprocess.Popen[str]"] = []
        self._threads: List[threading.Thread] = []
        for pod in pods:
            picture.pod(pod)

    def __enter__(self) -> "Stage":
        return self

    def __exit__(self, *_: object) -> None:
        with self._changed:
            self._ending.set()
            running = list(self._running)
        for process in running:
            process.kill()
        for thread in self._threads:
            thread.join()
        self._picture.draw(finished=True)

    def pod(self, name: str, note: str) -> None:
        self._known.add(name)
        self._picture.pod(name, note)

    def run(self, column: int, command: Sequence[str]) -> None:
        """Run a program to its end; each line of its output is an answer."""
        process = self._start(command)
        if process is None:
            return
        assert process.stdout and process.stderr
        with process:
            for line in process.stdout:
                self._take(column, line.strip())
            complaint = process.stderr.read().strip()
        with self._changed:
            self._running.remove(process)
        if process.returncode and not self._ending.is_set():
            self._fail(complaint or f"{command[0]} ended with status {process.returncode}")

    def _start(self, command: Sequence[str]) -> "subprocess.Popen[str] | None":
        with self._changed:  # either __exit__() sees the process, or it is not started any more
            if self._ending.is_set():
                return None
            process = subprocess.Popen(
                command,
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                start_new_session=True,  # Ctrl-C is for us; we end them
            )
            self._running.append(process)
            return process

    def background(self, column: int, command: Sequence[str], again_after_s: float = -1) -> None:
        """run() in a thread; with again_after_s the program is started anew each time it has ended."""

        def loop() -> None:
            self.run(column, command)
            while again_after_s >= 0 and not self._ending.wait(again_after_s):
                self.run(column, command)

        thread = threading.Thread(target=loop)
        self._threads.append(thread)
        thread.start()

    def _take(self, column: int, line: str) -> None:
        if line not in self._known:
            self._fail(f"not an answer of a pod: {line!r}")
            return
        self._picture.add(column, line)
        with self._changed:
            self.answers.append(Answer(time.monotonic(), column, line))
            self._changed.notify_all()

    def _fail(self, error: str) -> None:
        with self._changed:
            self.errors.append(error)
            self._changed.notify_all()

    def wait(self, what: str, condition: Callable[[], bool]) -> None:
        """Draw until the condition holds; it is asked anew as answers come in. Raises DemoError when that takes too long or
        something failed."""
        deadline = time.monotonic() + _PROGRESS_TIMEOUT_S
        while not condition():
            if self.errors:
                raise DemoError(self.errors[0])
            if time.monotonic() > deadline:
                raise DemoError(f"{what}: not within {_PROGRESS_TIMEOUT_S:.0f} s")
            with self._changed:
                self._changed.wait(0.05)
            self._picture.draw()

    def wait_answers(self, count: int) -> None:
        """Wait for that many more answers in each column that has any."""
        before = len(self.answers)

        def arrived() -> bool:
            new = [answer.column for answer in self.answers[before:]]
            return all(new.count(column) >= count for column in {answer.column for answer in self.answers})

        self.wait(f"{count} more answers", arrived)

    def tally(self, column: int, first: int = 0, last: "int | None" = None) -> Dict[str, int]:
        """Answers of a column by pod, among answers[first:last]."""
        counts = dict.fromkeys(sorted(self._known), 0)
        for answer in self.answers[first:last]:
            if answer.column == column:
                counts[answer.pod] += 1
        return counts


def clean_environment(directory: str) -> Dict[str, str]:
    """What the programs get: nothing of the caller's that could bend them (proxies, ~/.curlrc, another preload).
    directory: an empty one, where curl looks for its settings."""
    with open(os.path.join(directory, ".curlrc"), "w"):
        pass
    env = {"PATH": os.environ["PATH"], "CURL_HOME": directory, "NO_PROXY": "*"}
    for name in ("LANG", "LC_ALL", "HOME"):
        if name in os.environ:
            env[name] = os.environ[name]
    return env
