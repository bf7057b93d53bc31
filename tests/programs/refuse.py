# SPDX-License-Identifier: Apache-2.0
"""refuse.py WHAT COMMAND...: run a command where memory may not become executable.

WHAT: "mprotect", a filter answers EPERM to an mprotect() with PROT_EXEC, as systemd's MemoryDenyWriteExecute does; "mremap", the
same for each mremap(); "mdwe", PR_SET_MDWE of Linux 6.3. Exits with 77 where the kernel lacks it.
"""
import ctypes
import os
import sys
from typing import List

import pyseccomp as seccomp

LACKING = 77
_PROT_EXEC = 4
_PR_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1


def main(arguments: List[str]) -> None:
    what, *command = arguments
    if what == "mdwe":
        if ctypes.CDLL(None).prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0):
            sys.exit(LACKING)
    else:
        made = seccomp.SyscallFilter(seccomp.ALLOW)
        only = [seccomp.Arg(2, seccomp.MASKED_EQ, _PROT_EXEC, _PROT_EXEC)] if what == "mprotect" else []
        made.add_rule(seccomp.ERRNO(1), what, *only)
        made.load()
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(sys.argv[1:])
