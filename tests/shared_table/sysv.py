# SPDX-License-Identifier: Apache-2.0
"""System V segments by their numbers: what a hostile process of the same user, or of another one, does with them."""
import ctypes
import faulthandler
import os
import random
import signal
from contextlib import contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Sequence

from tests.harness import expect
from tests.pick_memory import IPC_CREAT, IPC_RMID, LIBC, segments

IPC_EXCL = 0o2000
# Huge pages that nobody has set aside: each load from them is SIGBUS where the machine's pool is empty.
HUGE_PAGES = 0o4000 | 0o10000  # SHM_HUGETLB, SHM_NORESERVE
TABLE_MAGIC = 0x3142414C53384B
HEADER_SIZE, ARENAS = 4096, 3
LIBC.shmat.restype = ctypes.c_void_p


def _checked(result: int, call: str) -> int:
    if result < 0:
        raise OSError(ctypes.get_errno(), call)
    return result


@contextmanager
def attached(shmid: int) -> Iterator[int]:
    address = LIBC.shmat(shmid, None, 0)
    if address in (None, ctypes.c_void_p(-1).value):
        raise OSError(ctypes.get_errno(), "shmat")
    try:
        yield address
    finally:
        LIBC.shmdt(ctypes.c_void_p(address))


def tables() -> List[Dict[str, int]]:
    """The segments that hold a table, the smallest first."""
    found = []
    for segment in segments():
        with attached(segment["shmid"]) as address:
            if ctypes.c_uint64.from_address(address).value == TABLE_MAGIC:
                found.append(segment)
    return sorted(found, key=lambda segment: segment["size"])


def write(shmid: int, at: int, content: bytes) -> None:
    with attached(shmid) as address:
        ctypes.memmove(address + at, content, len(content))


def scribble(shmid: int, reaches: Sequence[int], count: int, chance: random.Random) -> None:
    """So many random bytes, each anywhere in the first so many bytes."""
    with attached(shmid) as address:
        for _ in range(count):
            ctypes.memset(address + chance.randrange(chance.choice(reaches)), chance.randrange(256), 1)


def remove(shmid: int) -> None:
    _checked(LIBC.shmctl(shmid, IPC_RMID, None), "shmctl")


def make(key: int, size: int, mode: int = 0o600) -> int:
    return _checked(LIBC.shmget(key, ctypes.c_size_t(size), IPC_CREAT | IPC_EXCL | mode), "shmget")


def make_huge(key: int, size: int) -> int:
    """A segment on huge pages; a child shows that a load from it ends a program."""
    shmid = make(key, size, 0o600 | HUGE_PAGES)
    child = os.fork()
    if child == 0:
        faulthandler.disable()  # pytest's
        with attached(shmid) as address:
            ctypes.c_uint64.from_address(address).value
        os._exit(0)
    expect(os.waitpid(child, 0)[1] & 0x7F, signal.SIGBUS, Path("/proc/meminfo").read_text())
    return shmid


def replace(segment: Dict[str, int], size: int = 0, mode: int = 0o600) -> int:
    """Another segment with the same key; the old one goes on for those who have it."""
    remove(segment["shmid"])
    return make(segment["key"], size or segment["size"], mode)
