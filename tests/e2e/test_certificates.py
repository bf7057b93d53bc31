# SPDX-License-Identifier: Apache-2.0
"""Which certificates of an API server are accepted, beside the verdict of Go's crypto/tls, which client-go has: no kind of
certificate that Go refuses is accepted, and the token is not sent. docs/security.md has the same table."""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Dict, Iterator, List, NamedTuple, Tuple

import pytest

from tests.cli.common import run_cli
from tests.harness import Build, expect

HERE = Path(__file__).with_name("certificates")
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "security.md"

class Case(NamedTuple):
    what: str
    url: str
    bundle: str
    seen: Path  # appears with the first request that has a token
    go: str  # why Go refuses, "" where it accepts


class Verdict(NamedTuple):
    accepted: bool
    asked_for: str  # server name and ALPN protocol of the ClientHello
    said: str


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("certificates") / "certificates"
    # Where Debian's Go is too old for the tests, one is beside their Python.
    go = shutil.which("go", path=f"{os.environ['PATH']}:{Path(sys.executable).parent}")
    made = subprocess.run(
        [str(go), "build", "-o", str(target), "."],
        cwd=HERE,
        env={**os.environ, "GOFLAGS": "", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        capture_output=True,
        text=True,
    )
    expect(made.returncode, 0, made.stdout, made.stderr)
    return target


@pytest.fixture(scope="module")
def cases(certificates: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dict[str, Case]]:
    directory = tmp_path_factory.mktemp("cases")
    with subprocess.Popen([str(certificates), str(directory)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as servers:
        assert servers.stdin and servers.stdout
        found: Dict[str, Case] = {}
        for line in servers.stdout:
            told = json.loads(line)
            if not told:
                break
            found[told["what"]] = Case(told["what"], told["url"], told["bundle"], Path(told["seen"]), told["go"])
        try:
            yield found
        finally:
            servers.stdin.close()


@pytest.fixture(scope="module")
def verdicts(build: Build, cases: Dict[str, Case], tmp_path_factory: pytest.TempPathFactory) -> Dict[str, Verdict]:
    """Of the library's TLS, as the k8slb command has it, for each case."""
    token = tmp_path_factory.mktemp("token") / "token"
    token.write_text("a-token-for-nobody-else")
    found: Dict[str, Verdict] = {}
    for case in cases.values():
        env = {"K8SLB_API": case.url, "K8SLB_TOKEN_FILE": str(token), "K8SLB_CA_FILE": case.bundle, "K8SLB_SERVICES": "web"}
        result = run_cli(build, "explain", "web", env=env)
        said = result.stderr.strip().replace(case.url, "URL")
        accepted = case.seen.exists()
        expect(": 404 " in said, accepted, case, result)
        found[case.what] = Verdict(accepted, case.seen.read_text() if accepted else "", said)
    return found


Row = Tuple[str, str, str]


def rows_of(document: str) -> List[Row]:
    """Of the table below "Certificates": what, Go's verdict, and ours with what a user is told."""
    table = document.partition("| certificate |")[2].partition("\n\n")[0]
    rows = [tuple(cell.strip() for cell in line.strip("| ").split(" | ")) for line in table.splitlines()[2:]]
    return [(what, go, ours) for what, go, ours in rows]


def test_nothing_is_accepted_that_go_refuses(cases: Dict[str, Case], verdicts: Dict[str, Verdict]) -> None:
    laxer = {what: case.go for what, case in cases.items() if case.go and verdicts[what].accepted}
    expect(laxer, {})
    forged = [what for what in cases if what.startswith("forged")]
    expect((len(forged), [what for what in forged if verdicts[what].accepted]), (3, []))


def reason(said: str) -> str:
    """Without the remedy, which is the same for all."""
    return said.partition("URL: ")[2].partition("; k8slb doctor")[0]


def test_the_document_has_each_verdict(cases: Dict[str, Case], verdicts: Dict[str, Verdict]) -> None:
    measured = [
        (what, "no" if case.go else "yes", "yes" if verdicts[what].accepted else reason(verdicts[what].said))
        for what, case in cases.items()
    ]
    told = "\n".join(f"| {' | '.join(row)} |" for row in measured)
    expect(rows_of(DOCUMENT.read_text()), measured, told)


def test_what_is_asked_for(cases: Dict[str, Case], verdicts: Dict[str, Verdict]) -> None:
    """RFC 6066: the server name is no address, and has no dot at its end."""
    found = {what: verdict.asked_for for what, verdict in verdicts.items() if verdict.accepted}
    for what, asked_for in found.items():
        host = cases[what].url.partition("://")[2].rpartition(":")[0]
        expect(asked_for, f"{'' if host == '127.0.0.1' else host.rstrip('.')} http/1.1", what)
    assert "api.localhost http/1.1" in found.values(), found
