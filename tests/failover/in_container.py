# SPDX-License-Identifier: Apache-2.0
"""The system call filter that Docker gives its containers.

python -m tests.failover.in_container only:NAME COMMAND...: all but this call is allowed, for commands that need more than a
container has, such as pytest.
"""
import atexit
import json
import os
import subprocess
import sys
import tempfile
from functools import lru_cache
from typing import Any, Dict, List

import pyseccomp as seccomp

from tests.kube.process import go_program

OPERATIONS = {
    "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_LT": seccomp.LT, "SCMP_CMP_LE": seccomp.LE, "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_GE": seccomp.GE, "SCMP_CMP_GT": seccomp.GT, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(rule: Dict[str, Any], number: str, kind: str) -> Any:
    return seccomp.ALLOW if rule[kind] == "SCMP_ACT_ALLOW" else seccomp.ERRNO(rule.get(number, 1))


def argument(one: Dict[str, Any]) -> Any:
    # Of a masked comparison the value is the mask.
    return seccomp.Arg(one["index"], OPERATIONS[one["op"]], one["value"], one.get("valueTwo", 0))


def make(profile: Dict[str, Any]) -> Any:
    made = seccomp.SyscallFilter(action(profile, "defaultErrnoRet", "defaultAction"))
    # As in a container: its programs may still get rights by their files.
    made.set_attr(seccomp.Attr.CTL_NNP, 0 if os.geteuid() == 0 else 1)
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) < 0:
                continue
            made.add_rule(action(rule, "errnoRet", "action"), name, *map(argument, rule.get("args", ())))
    return made


@lru_cache(maxsize=None)
def docker_filter() -> str:
    """A file with Docker's filter as the kernel takes it, for the program "behind". What this system's libseccomp does not
    know is left out, as runc does."""
    profile = json.loads(subprocess.run([go_program("docker")], check=True, stdout=subprocess.PIPE).stdout)
    with tempfile.NamedTemporaryFile(prefix="k8slb-filter-", delete=False) as file:
        make(profile).export_bpf(file)
    atexit.register(os.unlink, file.name)
    return file.name


def main(arguments: List[str]) -> None:
    only, *command = arguments
    refused = {"names": [only.removeprefix("only:")], "action": "SCMP_ACT_ERRNO"}
    make({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]}).load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
