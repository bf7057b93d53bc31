# SPDX-License-Identifier: Apache-2.0
"""A whole connection: connect, one byte there, one byte back, close."""
import collections
import os
import random
import shutil
import statistics
import subprocess
from typing import Dict, List, Optional, Tuple

from .ground import POD_PORT, PODS, PORT, Ground, Worker
from .report import Report, spread

# Many short rounds: the machine's speed changes within seconds, and only what was measured side by side compares.
ROUNDS = 60
WARM_UP = 20
CONNECTIONS = 300
DIRECT = "pods direct"
AGAIN = "pods direct, again (A/A)"
UNMATCHED = "shim, pods direct (unmatched)"
# The ways in which a try is bounded (docs/failover.md), each against the pods dialled by a program with as many threads.
THREADED = "pods direct, a second thread"
SHARED = "shim, VIP, by a shared table"
KERNEL = "shim, VIP, by the kernel"
# By 16 threads at once, which are measured by what all of them did in a time.
CROWD = "pods direct, 16 threads"
CROWD_AGAIN = "pods direct, 16 threads, again (A/A)"
CROWD_SHIM = "shim, VIP, 16 threads"
CROWDS = (CROWD, CROWD_AGAIN, CROWD_SHIM)
CROWD_SHARE = 40  # connections of each thread
BUDGETS = {SHARED: 1.02, KERNEL: 1.03, CROWD_SHIM: 1.03}
BUDGET = 1.015
PROXY = "VIP by nftables rules like kube-proxy's, no shim"
BESIDE = "pods direct, such rules present"
PROXY_VIP = "10.96.250.1"

# The shape of kube-proxy's nftables mode for one Service (pkg/proxy/nftables/proxier.go).
RULES = """
table ip kube-proxy {{
	map service-ips {{
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = {{ {vip} . tcp . {port} : goto service }}
	}}
	{endpoints}
	chain service {{ numgen random mod {count} vmap {{ {choice} }}; }}
	chain services {{ ip daddr . meta l4proto . th dport vmap @service-ips; }}
	chain nat-output {{ type nat hook output priority -100; jump services; }}
	chain masq {{ meta mark and 0x4000 == 0 return; masquerade fully-random; }}
	chain nat-postrouting {{ type nat hook postrouting priority 100; jump masq; }}
	chain filter-output {{ type filter hook output priority -110; ct state new counter; }}
}}
"""


def run(ground: Ground, report: Report) -> None:
    ground.start("listeners", POD_PORT, *PODS).line()
    one, many = ground.services("bench", 1), ground.services("bench", 10000)
    shim = [ground.shim]
    workers: Dict[str, Worker] = {
        DIRECT: ground.start("connections", POD_PORT, *PODS),
        AGAIN: ground.start("connections", POD_PORT, *PODS),
        UNMATCHED: ground.start("connections", POD_PORT, *PODS, services=one, preload=shim),
    }
    for services in (one, many):
        workers[f"shim, VIP, table of {services.count}"] = ground.start(
            "connections", PORT, services.first_vip, services=services, preload=shim
        )
    refuse = [ground.refuse, "pidfd_getfd"]
    workers[THREADED] = ground.start("connections", POD_PORT, *PODS, "--thread")
    workers[SHARED] = ground.start("connections", PORT, one.first_vip, "--thread", services=one, preload=shim, under=refuse)
    workers[KERNEL] = ground.start("connections", PORT, one.first_vip, services=one, preload=shim, under=refuse)
    workers[CROWD] = ground.start("connections", POD_PORT, *PODS, "--threads")
    workers[CROWD_AGAIN] = ground.start("connections", POD_PORT, *PODS, "--threads")
    workers[CROWD_SHIM] = ground.start("connections", PORT, one.first_vip, "--threads", services=one, preload=shim)
    proxied = start_proxied(ground)
    if proxied:
        workers[PROXY], workers[BESIDE] = proxied
    for worker in workers.values():
        worker.ask("wait")
    p50: Dict[str, List[float]] = collections.defaultdict(list)
    errors: Dict[str, int] = collections.defaultdict(int)
    answers: Dict[str, List[int]] = {name: [0, 0, 0] for name in workers}
    for _ in range(ROUNDS):
        for name in random.sample(list(workers), len(workers)):
            if name in CROWDS:
                result = workers[name].ask(str(CROWD_SHARE))
                p50[name].append(result["each"] / 1000)
            else:
                workers[name].ask(str(WARM_UP))
                result = workers[name].ask(str(CONNECTIONS))
                p50[name].append(result["ns"]["p50"] / 1000)
            errors[name] += result["errors"]
            answers[name] = [a + b for a, b in zip(answers[name], result["answers"])]
    bases = {SHARED: THREADED, **{name: CROWD for name in CROWDS}}
    ratios = {
        name: [value / direct for value, direct in zip(p50[name], p50[bases.get(name, DIRECT)])] for name in workers
    }
    noise = 1 + max(abs(end - 1) for end in median_interval(ratios[AGAIN]))
    for name in workers:
        low, high = median_interval(ratios[name])
        ratio = statistics.median(ratios[name])
        shim = name.startswith("shim")
        budget = noise if name == UNMATCHED else max(noise, BUDGETS.get(name, BUDGET))
        report.add(name, f"{spread(p50[name])} us", us=p50[name])
        report.add(
            "    ratio to direct, paired: median [95 %]",
            f"{ratio:.3f} [{low:.3f}..{high:.3f}]",
            f"<= {budget:.3f}" if shim else "",
            ratio <= budget if shim else None,
            ratios=ratios[name],
        )
        report.add(
            "    connections of each pod; errors",
            f"{'/'.join(map(str, answers[name]))}; {errors[name]}",
            "0 errors",
            errors[name] == 0,
            answers=answers[name],
            errors=errors[name],
        )


def median_interval(values: List[float]) -> Tuple[float, float]:
    """The 95 % bootstrap interval of the median."""
    medians = sorted(statistics.median(random.choices(values, k=len(values))) for _ in range(1000))
    return medians[25], medians[974]


def start_proxied(ground: Ground) -> Optional[Tuple[Worker, Worker]]:
    """The same pods in a network namespace of their own with DNAT rules: conntrack would slow down the others. For
    contrast only: None where there is no namespace, no nft, or a kernel without it."""
    if not shutil.which("nft") or os.environ.get("K8SLB_NETNS") != "1":
        return None
    names = [f"endpoint-{index}" for index in range(len(PODS))]
    rules = RULES.format(
        vip=PROXY_VIP, port=PORT, count=len(PODS),
        endpoints="\n".join(f"chain {n} {{ meta l4proto tcp dnat to {ip}:{POD_PORT}; }}" for n, ip in zip(names, PODS)),
        choice=", ".join(f"{index} : goto {name}" for index, name in enumerate(names)),
    )
    alone = ["unshare", "-n", "sh", "-c", 'ip link set lo up; ip route add local 10.0.0.0/8 dev lo; exec "$0" "$@"']
    pods = ground.start("listeners", POD_PORT, *PODS, under=alone)
    pods.line()
    enter = ["nsenter", f"--net=/proc/{pods.pid}/ns/net", "--"]
    loaded = subprocess.run([*enter, "nft", "-f", "-"], input=rules, capture_output=True, text=True)
    if loaded.returncode:
        print(f"  without the rows of nftables: {loaded.stderr.splitlines()[0]}")
        return None
    return (
        ground.start("connections", PORT, PROXY_VIP, under=enter),
        ground.start("connections", POD_PORT, *PODS, under=enter),
    )
