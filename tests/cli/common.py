# SPDX-License-Identifier: Apache-2.0
"""What the tests of the k8slb command share: running it, and small objects for dumps."""
import json
import os
import subprocess
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

from tests.harness import Build

Object = Dict[str, Any]

# Connects once, says so, and stays: HOST PORT.
HOLDS = """
import signal, socket, sys
socket.create_connection((sys.argv[1], int(sys.argv[2])))
print("connected", flush=True)
signal.pause()
"""

USED_REASONS = {
    "ready", "ready-same-zone", "ready-same-node", "ready-local", "serving-terminating", "local-serving-terminating",
}
UNUSED_REASONS = {"not-ready", "terminating", "other-zone", "other-node", "not-local"}


def run_cli(
    build: Build, *arguments: object, stdin: Optional[str] = None, env: Optional[Mapping[str, str]] = None, timeout: float = 60
) -> "subprocess.CompletedProcess[str]":
    """Run k8slb to its end, without any K8SLB_* of the caller but those of env."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("K8SLB_", "KUBERNETES_", "POD_"))}
    return subprocess.run(
        [str(build.cli), *map(str, arguments)],
        input=stdin if stdin is not None else "",
        capture_output=True,
        text=True,
        env={**clean, **(env or {})},
        timeout=timeout,
    )


def explain(
    build: Build, dump: Object, *arguments: object, env: Optional[Mapping[str, str]] = None
) -> List[Object]:
    """The JSON answer about a dump; nothing else may be said but that parts of slices are of no use to anybody."""
    result = run_cli(build, "explain", "--from", "-", "-o", "json", *arguments, stdin=json.dumps(dump), env=env)
    assert result.returncode == 0, result
    assert all(" ports, addresses or names are not usable: " in line for line in result.stderr.splitlines()), result
    answer: List[Object] = json.loads(result.stdout)
    return answer


def document(*items: Object) -> Object:
    """As kubectl get -o json wraps what it got."""
    return {"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": ""}, "items": list(items)}


def service(name: str = "web", namespace: str = "shop", vip: Optional[str] = "10.96.0.1", **spec: Any) -> Object:
    """A Service as the API server stores it; vip None: headless."""
    ip = "None" if vip is None else vip
    full: Object = {
        "type": "ClusterIP",
        "clusterIP": ip,
        "clusterIPs": [ip],
        "ipFamilies": ["IPv6" if ":" in ip else "IPv4"],
        "ipFamilyPolicy": "SingleStack",
        "internalTrafficPolicy": "Cluster",
        "sessionAffinity": "None",
        "ports": [{"name": "http", "port": 80, "protocol": "TCP", "targetPort": 8080}],
    }
    full.update(spec)
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace, "uid": f"uid-{name}", "resourceVersion": "5"},
        "spec": full,
        "status": {"loadBalancer": {}},
    }


def endpoint(
    ip: str, ready: bool = True, serving: Optional[bool] = None, terminating: bool = False, pod: Optional[str] = None, **fields: Any
) -> Object:
    """An endpoint; fields: nodeName, zone, hints."""
    made: Object = {
        "addresses": [ip],
        "conditions": {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating},
        **fields,
    }
    if pod:
        made["targetRef"] = {"kind": "Pod", "namespace": "shop", "name": pod, "uid": f"uid-{pod}"}
    return made


def slice_of(
    name: Optional[str],
    *endpoints: Object,
    namespace: str = "shop",
    suffix: str = "abcde",
    ports: Sequence[Tuple[str, int, str]] = (("http", 8080, "TCP"),),
    headless: bool = False,
    **fields: Any,
) -> Object:
    """An EndpointSlice of the Service of this name."""
    labels = {"endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io"}
    if name is not None:
        labels["kubernetes.io/service-name"] = name
    if headless:
        labels["service.kubernetes.io/headless"] = ""
    return {
        "addressType": "IPv4",
        "apiVersion": "discovery.k8s.io/v1",
        "endpoints": list(endpoints),
        "kind": "EndpointSlice",
        "metadata": {"name": f"{name}-{suffix}", "namespace": namespace, "labels": labels, "resourceVersion": "6"},
        "ports": [{"name": port, "port": number, "protocol": protocol} for port, number, protocol in ports],
        **fields,
    }


def zones(*names: str) -> Object:
    return {"forZones": [{"name": name} for name in names]}


def nodes(*names: str) -> Object:
    return {"forNodes": [{"name": name} for name in names]}


def used(element: Object) -> List[str]:
    return [one["address"] for one in element["endpoints"] if one["used"]]


def reasons(element: Object) -> Dict[str, str]:
    return {one["address"]: one["reason"] for one in element["endpoints"]}
