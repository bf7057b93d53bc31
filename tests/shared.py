# SPDX-License-Identifier: Apache-2.0
"""What the processes of one user leave for each other: segments of shared memory, and files below /dev/shm."""
import os
import shutil
import subprocess
from pathlib import Path
from typing import List

FOLDER = Path("/dev/shm")


def segments() -> List[str]:
    """The ids of all System V segments of this IPC namespace."""
    lines = Path("/proc/sysvipc/shm").read_text().splitlines()[1:]
    return [line.split()[1] for line in lines]


def folders() -> List[Path]:
    return sorted(FOLDER.glob("k8slb-*"))


def forget() -> None:
    """As after the start of a Pod. Only in a namespace of the tests' own: elsewhere the segments are others'."""
    if os.environ.get("K8SLB_NETNS") != "1":
        return
    for folder in folders():
        shutil.rmtree(folder, ignore_errors=True)
    for segment in segments():
        subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)
