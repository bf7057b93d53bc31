# SPDX-License-Identifier: Apache-2.0
"""The figures: a table on standard output as they come, and JSON at the end."""
import json
import os
import platform
import re
import statistics
import time
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

_COLUMNS = "  {:<62} {:<38} {:<18} {}"


def machine() -> Dict[str, Any]:
    """What the figures were made on."""
    try:
        model = re.search(r"^model name\s*:\s*(.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    except OSError:
        model = None
    return {
        "cpu": model.group(1) if model else platform.machine(),
        "cores": len(os.sched_getaffinity(0)),
        "kernel": platform.release(),
        "architecture": platform.machine(),
        "libc": " ".join(platform.libc_ver()),
        "load_before": round(os.getloadavg()[0], 2),
        "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
    }


class Report:
    def __init__(self) -> None:
        self.machine = machine()
        self.failed = False
        self._rows: List[Dict[str, Any]] = []
        self._part = ""

    def print_machine(self) -> None:
        m = self.machine
        print(f"{m['cpu']}, {m['cores']} cores, Linux {m['kernel']}, {m['libc']}, load {m['load_before']} before")

    def begin(self, letter: str, title: str) -> None:
        self._part = letter
        print(f"\n{letter}. {title}")
        print(_COLUMNS.format("what", "figure", "budget", "verdict"), flush=True)

    def add(self, what: str, figure: str, budget: str = "", ok: Optional[bool] = None, **values: Any) -> None:
        """One line. ok: within the budget; None where there is none. values: the figures for the JSON."""
        verdict = "" if ok is None else "ok" if ok else "OVER"
        print(_COLUMNS.format(what, figure, budget, verdict).rstrip(), flush=True)
        self._rows.append(
            {"part": self._part, "what": what, "figure": figure, "budget": budget, "verdict": verdict, "values": values}
        )

    def fail(self, why: str) -> None:
        self.failed = True
        self.add("could not be measured", why)

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"machine": self.machine, "results": self._rows}, indent=1) + "\n")


def spread(values: Sequence[float], digits: int = 1) -> str:
    """The median with the range that it comes from."""
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f}..{max(values):.{digits}f})"
