# SPDX-License-Identifier: Apache-2.0
"""The races of tests/unit/test_watchdog.c with loopback's packets on other processors than the calls that send them. The SYN-ACK then
comes about while connect() waits, so that the watchdog meets that moment; on the same processor it hardly ever does."""
import os
import re
import subprocess
from typing import List

import pytest

from tests.harness import Build, counts, expect

# Of a network namespace of its own: sysfs shows the queues of the one that it is mounted in.
SPREAD = 'mount -t sysfs sysfs /sys && ip link set lo up && echo "$1" >/sys/class/net/lo/queues/rx-0/rps_cpus && shift && exec "$@"'


@pytest.mark.skipif(os.cpu_count() == 1, reason="one processor")
@pytest.mark.skipif(os.geteuid() != 0, reason="the kernel lets root alone spread packets")
@pytest.mark.own_table
@pytest.mark.unsanitized("it is too slow then to meet the moment")
@pytest.mark.timeout(counts(300, 1800))
@pytest.mark.parametrize(
    "processors, pinned", [("2", []), ("2", ["taskset", "-c", "0"]), ("3", [])], ids=["another", "another alone", "all"]
)
def test_packets_of_another_processor(build: Build, processors: str, pinned: List[str]) -> None:
    command = ["unshare", "-nm", "sh", "-c", SPREAD, "-", processors, *pinned, str(build.directory / "tests/unit/test_watchdog")]
    ended = 0
    # The moment is met by chance, and hardly where the other processor is kept busy: as many runs as it takes, each of them whole.
    for _run in range(15):
        result = subprocess.run(command, capture_output=True, text=True)
        told = f"{result.stdout}\n{result.stderr}"
        print(told)
        expect(result.returncode, 0, told)
        races = re.findall(r"(\d+) connected, (\d+) of them ended before, (\d+) under way, (\d+) broken", told)
        expect((len(races), sum(int(broken) for *_, broken in races)), (4, 0), told)
        # Tries whose end was ours, before a connection that came about.
        ended = sum(int(of_ours) for _connected, of_ours, *_ in races)
        if ended:
            break
    assert ended, told
