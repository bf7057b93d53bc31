# SPDX-License-Identifier: Apache-2.0
"""bash: /dev/tcp in the shell itself, in subshells, and in the background; descriptors that its children inherit."""
import pytest

from tests.harness import counts, expect
from tests.programs.common import World, same_lines

pytestmark = pytest.mark.clusters("double")

COUNT = counts(30, 300)

LOOP = """
for ((i = 0; i < $3; i++)); do
    exec 3<>"/dev/tcp/$1/$2"
    echo WHO >&3
    read -r pod <&3
    echo "$pod"
    [ $i -gt 0 ] || for fd in /proc/self/fd/*; do [ -e $fd ] && echo ${fd##*/}; done
    exec 3>&-
done
ls /proc/self/fd
"""

SUBSHELLS = """
for ((i = 0; i < $3; i++)); do
    (exec 5<>"/dev/tcp/$1/$2"; echo WHO >&5; head -n 1 <&5; ls /proc/self/fd | wc -l) &
done
wait
echo "$(exec 5<>"/dev/tcp/$1/$2"; echo WHO >&5; head -n 1 <&5)"
"""

BOTH_SIDES = """
ask() { exec 4<>"/dev/tcp/$1/$2"; echo WHO >&4; read -r pod <&4; echo "$pod"; exec 4>&-; }
for ((i = 0; i < $3; i++)); do ask $1 $2; done
(for ((i = 0; i < $3; i++)); do ask $1 $2; done)
for ((i = 0; i < $3; i++)); do ask $1 $2; done
"""


@pytest.mark.parametrize("by", ["vip", "name"])
def test_dev_tcp(world: World, by: str) -> None:
    web = world.web()
    world.both(["bash", "-c", LOOP, "bash", getattr(web, by), web.port, COUNT], {web: COUNT})


def test_one_connection_for_each_subshell(world: World) -> None:
    """Each of them is a process of its own, which begins with a pod of its own choice."""
    web = world.web()
    world.both(["bash", "-c", SUBSHELLS, "bash", web.vip, web.port, 15], {web: 16}, uneven=15, same=same_lines)


def test_a_shell_goes_on_beside_its_subshell(world: World) -> None:
    web = world.web()
    world.both(["bash", "-c", BOTH_SIDES, "bash", web.vip, web.port, 12], {web: 36}, uneven=2)


def test_refused_and_unknown(world: World) -> None:
    """bash tells what connect() and the lookup told it, in the words of libc."""
    web = world.web()
    script = 'exec 3<>/dev/tcp/127.0.0.1/9; exec 3<>/dev/tcp/nobody.default.svc/80; echo $?'
    _plain, shim = world.both(["bash", "-c", script], {web: 0})
    expect("Connection refused" in shim.result.stderr, True, shim.result)
