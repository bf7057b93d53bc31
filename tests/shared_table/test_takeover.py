# SPDX-License-Identifier: Apache-2.0
"""Who takes over has the table and lists: what the table says until the lists are in, and when one of them does not come."""
import sys
import time
from typing import List, Tuple

import pytest

from tests.e2e.common import stand_in
from tests.harness import ShimRunner, counts, expect, wait_until
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster
from tests.shared_table import sysv
from tests.shared_table.common import ASKED, Guest, asked_of, lists_of, names, target, wait_writer

pytestmark = pytest.mark.clusters("double")

HEARD_AT = 48  # in the header
LONGEST_LIST_S = 10
SHORT_LIVED = counts(100, 1000)
# Connects to the two Services of its arguments, a line of input names which.
BOTH = ASKED.replace("for line in sys.stdin:", """
first, second = ADDRESS, (sys.argv[3], int(sys.argv[4]))
for line in sys.stdin:
    which, line = line.split()
    ADDRESS = second if which == "shop" else first""")


def heard() -> int:
    (segment,) = sysv.tables()
    with sysv.attached(segment["shmid"]) as address:
        return int.from_bytes(sysv.ctypes.string_at(address + HEARD_AT, 8), sys.byteorder)


class Two:
    """A Service in each of two namespaces, and programs that connect to both."""

    def __init__(self, cluster: DoubleCluster, run_shim: ShimRunner, **settings: str) -> None:
        self.cluster = cluster
        self.web, self.pods = target(cluster)
        cluster.create_namespace("shop")
        self.shop = cluster.create_service("db", "shop")
        self.shop_pods = [cluster.add_pod("db-0", {"app": "db"}, "shop")]
        cluster.add_pod("shop-vip", {"app": "stand-in-for-kube-proxy"}, ip=self.shop.vip, port=self.shop.port)
        cluster.wait_endpoints(self.shop, 1)
        env = cluster.env("web,shop/db", **settings)
        code = BOTH.replace("sys.argv[3]", repr(self.shop.vip)).replace("sys.argv[4]", repr(str(self.shop.port)))
        self.guests = [Guest(run_shim, self.web, env, program=code) for _ in range(2)]
        for guest in self.guests:
            wait_until("both", lambda: self.seen(guest) == (names(self.pods), {"db-0"}), guest.process.result)

    def seen(self, guest: Guest) -> Tuple[set, set]:
        return set(guest.ask("web 9")), set(guest.ask("shop 3"))

    def kill_the_writer(self) -> Guest:
        """The one that lives on, and has the lock."""
        writer = wait_writer()
        (killed,) = [guest for guest in self.guests if guest.pid == writer]
        (other,) = [guest for guest in self.guests if guest.pid != writer]
        killed.kill()
        self.heard_at = heard()  # not before: it may have heard a last word
        wait_writer(other.process.result, but=writer)
        return other


def test_a_list_that_fails_is_left_out(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Its Service is kube-proxy's until it is in: nobody knows how old it would be. The others go on."""
    two = Two(cluster, run_shim, K8SLB_RETRY_DELAY="30")
    fault = cluster.server.fault("http_5xx", "endpointslices", "list", times=None, namespace="shop")
    other = two.kill_the_writer()
    two.pods.append(cluster.add_pod("late", {"app": "web"}))
    wait_until("the others", lambda: two.seen(other) == (names(two.pods), {"shop-vip"}), other.process.result, cluster.logs)
    expect(fault.used > 0, True, cluster.logs())
    cluster.server.clear_faults()
    wait_until("all", lambda: two.seen(other) == (names(two.pods), {"db-0"}), other.process.result, cluster.logs)


def test_a_slow_list_is_waited_for_and_then_left_out(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """Both are served as they were left meanwhile, and the table gets no younger by the part that has come."""
    two = Two(cluster, run_shim)
    fault = cluster.server.fault("stall_headers", "endpointslices", "list", times=None, seconds=None, namespace="shop")
    other = two.kill_the_writer()
    began_at = two.heard_at
    wait_until("the list", lambda: fault.used > 0, cluster.logs)
    began = time.monotonic()
    late = cluster.add_pod("late", {"app": "web"})
    while True:
        heard_at, seen, age = heard(), two.seen(other), time.monotonic() - began
        if late.name in seen[0]:
            break
        if heard() == heard_at:  # else the table became another one while it was asked
            expect((seen, heard_at), ((names(two.pods), {"db-0"}), began_at), other.process.result())
        expect(age < LONGEST_LIST_S + 20, True, f"{age:.1f} s", cluster.logs())
        time.sleep(0.1)
    expect(age > LONGEST_LIST_S - 1, True, f"{age:.1f} s", cluster.logs())
    expect((two.seen(other)[1], heard() > began_at), ({"shop-vip"}, True), cluster.logs())
    cluster.server.clear_faults()


def test_without_any_list_the_table_ages(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """By the last writer's word, whoever has taken over since: from K8SLB_MAX_AGE on it is not believed."""
    cluster.server.set(bookmark_interval=0.3, leases=True)
    service, pods = target(cluster)
    env = cluster.env("web", K8SLB_MAX_AGE="3")
    guests = [Guest(run_shim, service, env) for _ in range(3)]
    for guest in guests:
        guest.wait_asked(names(pods))
    cluster.server.fault("stall_headers", times=None, seconds=None)
    began_at = 0
    for left in (2, 1):
        writer = wait_writer()
        for guest in [guest for guest in guests if guest.pid == writer]:
            guest.kill()
            guests.remove(guest)
        expect(len(guests), left)
        began_at = began_at or heard()  # not before the first is gone: it may have heard a last word
        wait_writer(but=writer)
        expect((set(guests[0].ask(9)), heard()), (names(pods), began_at), guests[0].process.result())
    guests[0].wait_asked({"vip"}, cluster.logs)
    expect(heard(), began_at, guests[0].process.result())


def listing(cluster: DoubleCluster, seconds: float) -> None:
    cluster.server.fault("delay", verb="list", times=None, seconds=seconds)


@pytest.mark.timeout(300)
def test_programs_too_short_for_a_list(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """They have the table that was left without waiting for a list that none of them lives to see, and they ask for it seldom."""
    service, pods = target(cluster)
    listed = time.monotonic()
    guest = Guest(run_shim, service, cluster.env("web"))
    guest.wait_asked(names(pods))
    guest.end()
    listing(cluster, 1)
    cluster.server.log.clear()
    loop = f"i=0; while [ $i -lt {SHORT_LIVED} ]; do curl -s -m 10 http://{service.vip}/ || exit 1; i=$((i + 1)); done"
    began, answers = time.monotonic(), []
    while time.monotonic() - began < 8:  # lists are due at 2, 4 and 8 s
        result = run_shim(["sh", "-c", loop], env=cluster.env("web"), timeout=240)
        expect(result.returncode, 0, result)
        answers += result.stdout.splitlines()
    seconds = time.monotonic() - listed
    asked = lists_of(cluster)
    print(f"{len(answers)} programs in {seconds:.1f} s: {asked}")
    # 2, 4, 8, 16, 32 s after each other, and then every minute.
    most = next(count for count in range(1, 100) if 2 + 2 ** (count + 1) - 2 > seconds) if seconds < 62 else 6 + seconds / 60
    expect((set(answers), max(asked.values()) <= most), (names(pods), True), most, asked, cluster.logs())

    # One that lives on lists by itself, at the latest after as long as a list may take.
    guest = Guest(run_shim, service, cluster.env("web"))
    guest.ask(1)
    pods.append(cluster.add_pod("late", {"app": "web"}))
    guest.wait_asked(names(pods), cluster.logs)


def test_a_first_table_is_asked_for_at_once(cluster: DoubleCluster, run_shim: ShimRunner) -> None:
    """However many have tried before: there is nothing that could serve."""
    service, pods = target(cluster)
    listing(cluster, 30)
    began = time.monotonic()
    for number in range(1, 5):
        guest = Guest(run_shim, service, cluster.env("web"))
        guest.say(1)
        wait_until("the list", lambda: asked_of(cluster).get(("services", "list")) == number, guest.process.result, cluster.logs)
        guest.kill()
    expect(time.monotonic() - began < 2 + 4 + 8, True, f"{time.monotonic() - began:.2f} s", cluster.logs())  # if it backed off
    cluster.server.clear_faults()
    guest = Guest(run_shim, service, cluster.env("web"))
    expect(set(guest.ask(9)), names(pods), guest.process.result())
