# SPDX-License-Identifier: Apache-2.0
"""make install puts down what README.md promises to a C program, and make uninstall takes all of it away."""
import os
import re
import subprocess
import textwrap
from pathlib import Path
from typing import Dict, List, Optional

from tests.harness import Build, expect

ROOT = Path(__file__).resolve().parents[2]
# What README.md leaves out.
PROGRAM = """
#include <k8slb.h>
#include <stdio.h>

int main(void)
{
	struct k8slb *lb = NULL;
	struct k8slb_endpoint endpoint;
	char error[K8SLB_ERROR_SIZE];

%s
	k8slb_free(lb);
	return 0;
}
"""


def run(command: List[str], env: Optional[Dict[str, str]] = None) -> str:
    # A make that runs the tests must not lend us its flags and variables; in a Pod's environment the program would go on.
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS", "KUBERNETES_"))}
    result = subprocess.run(command, cwd=ROOT, env={**clean, **(env or {})}, capture_output=True, text=True)
    expect(result.returncode, 0, " ".join(command), result.stdout, result.stderr)
    return result.stdout


def files(directory: Path) -> List[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if not path.is_dir())


def test_a_c_program_builds_on_what_was_installed(build: Build, tmp_path: Path) -> None:
    root = tmp_path / "root"
    make = ["make", "-s", f"BUILD={build.directory}", "PREFIX=/usr", f"DESTDIR={root}"]

    run([*make, "install"])

    installed = files(root)
    for name in ("bin/k8slb", "lib/libk8slb.so", "include/k8slb.h", "lib/pkgconfig/k8slb.pc", "share/man/man7/k8slb.7"):
        assert f"usr/{name}" in installed, installed
    fragments = re.findall(r"```c\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    expect(len(fragments), 1)
    source = tmp_path / "program.c"
    source.write_text(PROGRAM % textwrap.indent(fragments[0], "\t"))
    where = {
        "PKG_CONFIG_PATH": f"{root}/usr/lib/pkgconfig",
        "PKG_CONFIG_SYSROOT_DIR": str(root),
        # Below the root /usr is not where the compiler looks by itself.
        "PKG_CONFIG_ALLOW_SYSTEM_LIBS": "1",
        "PKG_CONFIG_ALLOW_SYSTEM_CFLAGS": "1",
    }
    flags = run(["pkg-config", "--cflags", "--libs", "k8slb"], where).split()
    assert f"-L{root}/usr/lib" in flags, flags
    run(["cc", "-Wall", "-Wextra", "-Werror", "-o", str(tmp_path / "program"), str(source), *flags])
    # No Pod: k8slb_new() says so, and nothing is printed.
    expect(run([str(tmp_path / "program")], {"LD_LIBRARY_PATH": f"{root}/usr/lib"}), "")

    run([*make, "uninstall"])
    expect(files(root), [])
