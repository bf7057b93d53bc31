# SPDX-License-Identifier: Apache-2.0
"""One background process of the test ground, with its log in a file."""
import os
import signal
import subprocess
from pathlib import Path
from typing import Mapping, Optional, Sequence

_BUILD = Path(__file__).resolve().parents[2] / "scripts" / "build-go"


def go_program(name: str) -> str:
    """Path of this program of scripts/build-go; built first if it was not yet, which needs the network of the machine."""
    result = subprocess.run([_BUILD, name], stdout=subprocess.PIPE, text=True)
    if result.returncode:
        raise RuntimeError(f"no program {name}: run scripts/build-go {name} outside of the network namespace")
    return result.stdout.strip()


class Process:
    """Runs from start() to stop(), again and again if wanted; killed with the test process however that ends."""

    def __init__(self, name: str, command: Sequence[str], log: str, env: Optional[Mapping[str, str]] = None) -> None:
        self.name = name
        self.log_path = log
        self._command = list(command)
        self._env = dict(os.environ if env is None else env)
        self._process: Optional["subprocess.Popen[bytes]"] = None

    def start(self) -> None:
        if self.running():
            return
        # Not one pipe of ours: a process that outlived us would keep whoever reads our output waiting. setpriv becomes the
        # process itself; it is used instead of preexec_fn, which is not safe beside the threads of a test.
        with open(self.log_path, "ab") as log:
            self._process = subprocess.Popen(
                ["setpriv", "--pdeathsig", "KILL", "--", *self._command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=self._env,
                start_new_session=True,
            )

    def stop(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            if self._process.poll() is None:
                self._process.send_signal(number)
            self._process.wait()
            self._process = None

    def running(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def log_end(self, lines: int = 25) -> str:
        try:
            with open(self.log_path, errors="replace") as log:
                end = log.readlines()[-lines:]
        except FileNotFoundError:
            end = []
        return f"--- {self.name} ({'running' if self.running() else 'not running'})\n{''.join(end)}"
