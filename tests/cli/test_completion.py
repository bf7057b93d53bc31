# SPDX-License-Identifier: Apache-2.0
"""k8slb completion: what bash offers, and that each shell's text has every option of every command."""
import re
import shutil
import subprocess
from typing import Dict, List, Set

import pytest

from tests.cli.common import run_cli
from tests.harness import Build, expect

SHELLS = ("bash", "fish", "zsh")


def completion(build: Build, shell: str) -> str:
    result = run_cli(build, "completion", shell)
    expect((result.returncode, result.stderr), (0, ""), result)
    return result.stdout


def options(build: Build) -> Dict[str, Set[str]]:
    """Of each command, by its help."""
    commands = re.findall(r"^  ([a-z]+)  ", run_cli(build, "help").stdout, re.MULTILINE)
    assert {"agent", "completion", "doctor", "explain", "run", "settings"} <= set(commands), commands
    pattern = r"^ +(?:-\w, )?--([a-z-]+)|(?<= )--([a-z][a-z-]+)(?=[ \n])"
    found = {command: run_cli(build, command, "--help").stdout.split("\n", 1)[1] for command in commands}
    return {
        command: {first or second for first, second in re.findall(pattern, text, re.MULTILINE)} - {"node"} | {"help"}
        for command, text in found.items()
    }


def offered(build: Build, *words: str) -> List[str]:
    """What bash offers for the last word."""
    script = (
        f"source <({build.cli} completion bash); COMP_WORDS=(k8slb \"$@\"); COMP_CWORD=$#; _k8slb; "
        'printf "%s\\n" "${COMPREPLY[@]}"'
    )
    result = subprocess.run(["bash", "-c", script, "bash", *words], capture_output=True, text=True, check=True)
    expect(result.stderr, "", result)
    return result.stdout.split()


def test_bash(build: Build, tmp_path) -> None:
    expect(offered(build, "ex"), ["explain"])
    expect(offered(build, "explain", "--o"), ["--output"])
    expect(offered(build, "explain", "--output", ""), ["text", "json"])
    expect(offered(build, "explain", "-o", "j"), ["json"])
    expect(offered(build, "run", "--policy", ""), ["round_robin", "random"])
    expect(offered(build, "agent", "--log", "d"), ["debug"])
    expect(offered(build, "completion", ""), ["bash", "fish", "zsh"])
    (tmp_path / "dump.json").write_text("")
    expect(offered(build, "explain", "--from", f"{tmp_path}/du"), [f"{tmp_path}/dump.json"])
    assert "sh" in offered(build, "run", "sh")
    (tmp_path / "folder").mkdir()
    expect(offered(build, "copy", f"{tmp_path}/"), [f"{tmp_path}/folder"])


@pytest.mark.parametrize("shell", SHELLS)
def test_every_option_is_there(build: Build, shell: str) -> None:
    text = completion(build, shell)
    for command, names in options(build).items():
        parts = {
            "bash": rf"^\t{command}\)\n.*?;;\n(?=\t[a-z]+\)|\tesac)",
            "zsh": rf"^\t{command}\)\n.*?;;\n",
            "fish": rf"(?:^complete -c k8slb -n '__fish_seen_subcommand_from {command}' .*\n)+",
        }
        part = re.search(parts[shell], text, re.MULTILINE | (0 if shell == "fish" else re.DOTALL))
        assert part, f"{shell} knows no {command}\n{text}"
        found = set(re.findall(r"-l ([a-z-]+)" if shell == "fish" else r"--([a-z][a-z-]+)", part[0]))
        expect(names - found, set(), shell, command, part[0])


@pytest.mark.parametrize("shell", [one for one in SHELLS if shutil.which(one)])
def test_the_shell_takes_it(build: Build, shell: str) -> None:
    result = subprocess.run([shell, "-n", "/dev/stdin"], input=completion(build, shell), capture_output=True, text=True)
    expect((result.returncode, result.stderr), (0, ""), result)


def test_no_other_shell(build: Build) -> None:
    result = run_cli(build, "completion", "csh")
    expect((result.returncode, result.stdout), (2, ""), result)
    assert 'SHELL "csh": expected bash, fish or zsh' in result.stderr, result
