# SPDX-License-Identifier: Apache-2.0
"""in_container.py PROFILE COMMAND...: run a command behind the system call filter that Docker gives its containers.

PROFILE: the program of tests/kube/docker, which prints it. What this system's libseccomp does not know is left out, as
runc does. "only:NAME": all but this call is allowed, for commands that need more than a container has, such as pytest.
"""
import json
import os
import subprocess
import sys
from typing import Any, Dict, List

import pyseccomp as seccomp

OPERATIONS = {
    "SCMP_CMP_NE": seccomp.NE, "SCMP_CMP_LT": seccomp.LT, "SCMP_CMP_LE": seccomp.LE, "SCMP_CMP_EQ": seccomp.EQ,
    "SCMP_CMP_GE": seccomp.GE, "SCMP_CMP_GT": seccomp.GT, "SCMP_CMP_MASKED_EQ": seccomp.MASKED_EQ,
}


def action(rule: Dict[str, Any], number: str, kind: str) -> Any:
    return seccomp.ALLOW if rule[kind] == "SCMP_ACT_ALLOW" else seccomp.ERRNO(rule.get(number, 1))


def argument(one: Dict[str, Any]) -> Any:
    # Of a masked comparison the value is the mask.
    return seccomp.Arg(one["index"], OPERATIONS[one["op"]], one["value"], one.get("valueTwo", 0))


def install(profile: Dict[str, Any]) -> None:
    made = seccomp.SyscallFilter(action(profile, "defaultErrnoRet", "defaultAction"))
    # As in a container: its programs may still get rights by their files.
    made.set_attr(seccomp.Attr.CTL_NNP, 0 if os.geteuid() == 0 else 1)
    for rule in profile["syscalls"]:
        for name in rule["names"]:
            if seccomp.resolve_syscall(seccomp.Arch.NATIVE, name) < 0:
                continue
            made.add_rule(action(rule, "errnoRet", "action"), name, *map(argument, rule.get("args", ())))
    made.load()


def main(arguments: List[str]) -> None:
    profile, *command = arguments
    if profile.startswith("only:"):
        refused = {"names": [profile[len("only:") :]], "action": "SCMP_ACT_ERRNO"}
        install({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [refused]})
    else:
        install(json.loads(subprocess.run([profile], check=True, stdout=subprocess.PIPE).stdout))
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
