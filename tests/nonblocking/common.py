# SPDX-License-Identifier: Apache-2.0
"""The lines that programs beside dead pods print."""
import re
import statistics
from typing import List, NamedTuple, Sequence

from tests.failover.common import TIMEOUT_MS
from tests.harness import counts, expect

TRY_S = TIMEOUT_MS / 1000
MARGIN_S = counts(1.0, 0.3)  # beside other tests, whose number nobody knows
LIMIT_S = 3  # of every program that dials


class Line(NamedTuple):
    """One connection of a program."""

    seconds: float
    result: str  # the pod that answered, or the program's own word for what went wrong


def lines_of(text: str) -> List[Line]:
    """Of all that was printed: lines of SECONDS RESULT."""
    found = (re.fullmatch(r"(\d+\.\d+) (.*)", line) for line in text.splitlines())
    return [Line(float(one[1]), one[2].strip()) for one in found if one]


def longest(lines: Sequence[Line]) -> float:
    return max(line.seconds for line in lines)


def expect_in_time(lines: Sequence[Line], most_s: float, *logs: object) -> None:
    """The longest took at most so long, and no longer than a busy machine explains: it makes the others slow as well."""
    allowed = most_s + MARGIN_S + 4 * statistics.median(line.seconds for line in lines)
    expect([line for line in lines if line.seconds > allowed], [], f"longest {longest(lines):.3f} s of {allowed:.3f} s", *logs)
