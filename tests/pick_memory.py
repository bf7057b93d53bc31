# SPDX-License-Identifier: Apache-2.0
"""System V shared memory as the tests see it: the segments of this IPC namespace, which scripts/in-netns makes a fresh one."""
import ctypes
from pathlib import Path
from typing import Dict, List

IPC_CREAT, IPC_RMID, SHM_RDONLY = 0o1000, 0, 0o10000
PICK_MEMORY_MAGIC = b"K8PICK6\0"
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.shmat.restype = ctypes.c_void_p


def segments() -> List[Dict[str, int]]:
    """All of them, by the columns of /proc/sysvipc/shm: key, shmid, perms (octal digits), size, uid, nattch and others."""
    names, *rows = (line.split() for line in Path("/proc/sysvipc/shm").read_text().splitlines())
    return [dict(zip(names, map(int, row))) for row in rows]


def _attach(shmid: int, flags: int) -> int:
    address = LIBC.shmat(shmid, None, flags)
    if address == ctypes.c_void_p(-1).value:
        raise OSError(ctypes.get_errno(), "shmat")
    return int(address)


def pick_memories() -> List[Dict[str, int]]:
    """Those that hold pick memory; the table is another one."""
    found = []
    for segment in segments():
        address = _attach(segment["shmid"], SHM_RDONLY)
        if ctypes.string_at(address, len(PICK_MEMORY_MAGIC)) == PICK_MEMORY_MAGIC:
            found.append(segment)
        LIBC.shmdt(ctypes.c_void_p(address))
    return found


def remove_segments() -> None:
    for segment in segments():
        LIBC.shmctl(segment["shmid"], IPC_RMID, None)


def make_segment(key: int, content: bytes, mode: int = 0o600) -> None:
    shmid = LIBC.shmget(key, ctypes.c_size_t(len(content)), IPC_CREAT | mode)
    if shmid < 0:
        raise OSError(ctypes.get_errno(), "shmget")
    address = _attach(shmid, 0)
    ctypes.memmove(address, content, len(content))
    LIBC.shmdt(ctypes.c_void_p(address))
