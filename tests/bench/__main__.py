# SPDX-License-Identifier: Apache-2.0
"""Runs the parts that were asked for and prints their figures beside their budgets; started by scripts/bench."""
import argparse
import sys
import traceback
from pathlib import Path
from typing import Callable, Dict, List, Tuple

from . import agent, connect, decode, freshness, hook, memory, start, table, takeover, waits, wakeups
from .ground import Ground
from .report import Report

PARTS: Dict[str, Tuple[str, Callable[[Ground, Report], None]]] = {
    "a": ("the hook of connect() alone, libc's calls stubbed", hook.run),
    "b": ("a connection with one byte each way, against the pod address direct", connect.run),
    "c": ("start of a program", start.run),
    "d": ("event at the API server to the first pick", freshness.run),
    "e": ("publishing a changed Service, size of the table", table.run_publish),
    "f": ("decoding a list of EndpointSlices", decode.run),
    "g": ("private memory of an idle program", memory.run),
    "h": ("looking up a VIP", table.run_lookup),
    "i": ("writers that end, and programs that are short", takeover.run),
    "j": ("an agent with 10 000 Services, 100 000 endpoints and 1 000 changes a second", agent.run),
    "k": ("wake-ups of programs that do nothing", wakeups.run),
    "l": ("the hooks of poll(), select() and epoll_wait()", waits.run),
}


def parse_arguments(arguments: List[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog="parts:\n" + "\n".join(f"  {letter}  {title}" for letter, (title, _) in PARTS.items()),
    )
    parser.add_argument("--only", default=",".join(PARTS), metavar="PARTS", help="letters, separated by commas")
    parser.add_argument("--build-dir", default="build", type=Path, help="where the Makefile put its results")
    parsed = parser.parse_args(arguments)
    parsed.only = parsed.only.split(",")
    unknown = set(parsed.only) - set(PARTS)
    if unknown:
        parser.error(f"no such part: {', '.join(sorted(unknown))} (there are: {', '.join(PARTS)})")
    return parsed


def main(arguments: List[str]) -> int:
    options = parse_arguments(arguments)
    report = Report()
    report.print_machine()
    with Ground(options.build_dir.absolute()) as ground:
        for letter in options.only:
            title, run = PARTS[letter]
            report.begin(letter, title)
            try:
                run(ground, report)
            except Exception as error:  # one part that cannot run must not hide the others' figures
                traceback.print_exc()
                report.fail(f"{type(error).__name__}: {error}")
            finally:
                ground.stop_workers()
    report.write(options.build_dir / "bench" / "results.json")
    return 1 if report.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
