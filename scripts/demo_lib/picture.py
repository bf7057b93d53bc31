# SPDX-License-Identifier: Apache-2.0
"""A bar for each pod that grows with its answers: redrawn in place on a terminal, printed on request elsewhere."""
import os
import sys
import threading
import time
from typing import Dict, List, Sequence

_COLOURS = ("32", "36", "33", "35")  # green, cyan, yellow, magenta: readable on dark and on light
_REDRAW_S = 0.05
_BAR_WIDTH = {1: 48, 2: 20}  # by the number of columns, for 80 characters


class Screen:
    """Standard output, and what it can do."""

    def __init__(self) -> None:
        dumb = os.environ.get("TERM", "dumb") == "dumb"
        self.moves = sys.stdout.isatty() and not dumb
        self._coloured = self.moves and not os.environ.get("NO_COLOR")
        try:
            "█▏".encode(sys.stdout.encoding or "ascii")
            self.block = "█"
        except UnicodeEncodeError:
            self.block = "#"

    def say(self, text: str = "") -> None:
        print(text, flush=True)

    def colour(self, code: str, text: str) -> str:
        return f"\033[{code}m{text}\033[0m" if self._coloured else text

    def title(self, text: str) -> None:
        self.say("\n" + self.colour("1", text))

    def command(self, *lines: str) -> None:
        """The command that is run, as one could type it."""
        for line in lines:
            self.say("   " + self.colour("2", "$ " + line))

    def note(self, text: str) -> None:
        self.say("   " + text)

    def event(self, text: str) -> None:
        """What happens while a picture is shown; a picture that moves shows it by itself."""
        if not self.moves:
            self.note("... " + text)


class Picture:
    """Counts of answers by column and pod. add() may be called by any thread."""

    def __init__(self, screen: Screen, columns: Sequence[str], full: int) -> None:
        """full: the number of answers that fills a bar."""
        self._screen = screen
        self._columns = list(columns)
        self._full = full
        self._width = _BAR_WIDTH[len(columns)]
        self._pods: List[str] = []
        self._notes: Dict[str, str] = {}
        self._counts: Dict[str, List[int]] = {}
        self._lock = threading.Lock()
        self._drawn = 0  # lines of the last picture
        self._next_draw = 0.0

    def pod(self, name: str, note: str = "") -> None:
        """Show this pod from now on, with a word beside its name."""
        with self._lock:
            if name not in self._counts:
                self._pods.append(name)
                self._counts[name] = [0] * len(self._columns)
            self._notes[name] = note

    def add(self, column: int, pod: str) -> None:
        with self._lock:
            self._counts[pod][column] += 1

    def draw(self, finished: bool = False) -> None:
        """Redraw on a terminal; elsewhere only the finished picture is printed."""
        now = time.monotonic()
        if not finished and (not self._screen.moves or now < self._next_draw):
            return
        self._next_draw = now + _REDRAW_S
        lines = self._lines()
        up = f"\033[{self._drawn}A" if self._drawn and self._screen.moves else ""
        erase = "\033[K" if self._screen.moves else ""
        self._screen.say(up + "\n".join(line + erase for line in lines))
        self._drawn = len(lines)

    def _lines(self) -> List[str]:
        lines = []
        if len(self._columns) > 1:
            lines.append(" " * 18 + "".join(f"{title:<{self._width + 7}}" for title in self._columns).rstrip())
        with self._lock:
            for number, pod in enumerate(self._pods):
                bars = "".join(self._bar(count, _COLOURS[number % len(_COLOURS)]) for count in self._counts[pod])
                lines.append(f"   {pod:<6} {self._notes[pod]:<8}{bars}".rstrip())
        return lines

    def _bar(self, count: int, colour: str) -> str:
        cells = min(self._width, -(-count * self._width // self._full))
        number = f" {count}" if count else "-"
        padding = " " * max(0, self._width + 7 - cells - len(number))
        return self._screen.colour(colour, self._screen.block * cells) + number + padding
