# SPDX-License-Identifier: Apache-2.0
"""The threads that the library has in a program: one less where all tests run behind a filter (make pytest-refused)."""
import ctypes
import errno

_PIDFD_GETFD = 438


def _may_take_descriptors() -> bool:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.syscall(_PIDFD_GETFD, -1, -1, 0)
    return ctypes.get_errno() == errno.EBADF


# Of a program that has none of its own, after its first blocking connection.
OURS = ("k8slb", "k8slb-watchdog") if _may_take_descriptors() else ("k8slb",)
