# SPDX-License-Identifier: Apache-2.0
"""Every message of the k8slb command says what to do: read from its sources, since nobody can make each of them happen."""
import re
from pathlib import Path
from typing import Iterator, List, Tuple

import pytest

from tests.harness import expect

CLI = Path(__file__).resolve().parents[2] / "cli"
# Lines of the library: a setting's says what is expected of it, and cli_wrong() ends in "expected ...".
RELAYS = {"cli.c", "configure.c"}


def sources() -> List[Path]:
    return sorted(CLI.glob("*.c"))


def calls(text: str, name: str) -> Iterator[Tuple[int, List[str]]]:
    """Where each call ends, and its arguments as they are written."""
    for match in re.finditer(rf"(?<![\w.]){name}\(", text):
        depth, quoted, at, arguments = 1, False, match.end(), [""]
        while depth:
            letter = text[at]
            if letter == '"' and text[at - 1] != "\\":
                quoted = not quoted
            if not quoted:
                depth += {"(": 1, ")": -1}.get(letter, 0)
                if letter == "," and depth == 1:
                    arguments.append("")
                    at += 1
                    continue
            arguments[-1] += letter
            at += 1
        yield at, [argument.strip(") \n\t") for argument in arguments]


def function_end(text: str, at: int) -> int:
    return text.index("\n}\n", at)


def wrong_messages(name: str, text: str) -> Iterator[str]:
    if name != "cli.c":
        for _at, arguments in calls(text, "cli_error"):
            if len(arguments) < 3 or arguments[1].replace('"', "").strip() in ("", "NULL"):
                yield f"{name}: cli_error({', '.join(arguments)}): no remedy"
        for match in re.finditer(r"\bfprintf\(stderr|\bperror\(|\bfputs\([^;]*stderr", text):
            yield f"{name}: {match[0]}: past cli_error()"
    if name not in RELAYS and re.search(r"\bcli_relay\(", text):
        yield f"{name}: cli_relay() is for lines of the library"
    for finding in ("finding_fail", "finding_warn"):
        for at, arguments in calls(text, finding):
            # Alternatives in a row share one; in finding.c they are made.
            rest = text[at: function_end(text, at)]
            if name != "finding.c" and not re.search(r"\b(?:finding_remedy|write_role)\(", rest):
                yield f"{name}: {finding}({arguments[1]}, {arguments[2]}): no remedy"
    for _at, arguments in calls(text, "finding_remedy"):
        if name != "finding.c" and arguments[1].replace('"', "").strip() == "":
            yield f"{name}: an empty remedy"


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.name)
def test_every_message_has_a_remedy(path: Path) -> None:
    expect(list(wrong_messages(path.name, path.read_text())), [])


def test_there_are_messages() -> None:
    text = "".join(path.read_text() for path in sources())
    assert len(list(calls(text, "cli_error"))) > 25
    assert len(list(calls(text, "finding_fail"))) > 20


@pytest.mark.parametrize(
    "call, found",
    [
        ('cli_error(COMMAND, "", "%s: wrong", name);', "no remedy"),
        ('cli_error(COMMAND, NULL, "it (a, b) failed");', "no remedy"),
        ('fprintf(stderr, "no\\n");', "past cli_error()"),
        ('cli_relay(COMMAND, "no");', "is for lines of the library"),
        ('finding_fail(ret_finding, PROBLEM_API, "no");', "no remedy"),
        ('finding_warn(ret_finding, PROBLEM_API, "no");\n\tfinding_remedy(ret_finding, "");', "an empty remedy"),
    ],
)
def test_what_is_found(call: str, found: str) -> None:
    messages = list(wrong_messages("new.c", f"static void tell(void)\n{{\n\t{call}\n}}\n"))
    assert len(messages) == 1 and found in messages[0], messages
