# SPDX-License-Identifier: Apache-2.0
"""A large list of EndpointSlices from bytes to structs."""
import ipaddress
import json

from .ground import Ground, slice_object
from .report import Report

SLICES, ENDPOINTS, PASSES = 500, 100, 15


def run(ground: Ground, report: Report) -> None:
    path = ground.file("slices.json")
    base = int(ipaddress.IPv4Address("10.244.0.0"))
    items = [
        slice_object("bench", f"service-{number:05d}", [
            str(ipaddress.IPv4Address(base + number * ENDPOINTS + endpoint)) for endpoint in range(ENDPOINTS)
        ])
        for number in range(SLICES)
    ]
    for number, item in enumerate(items):
        item["metadata"]["resourceVersion"] = str(100000 + number)
    head = {"kind": "EndpointSliceList", "apiVersion": "discovery.k8s.io/v1", "metadata": {"resourceVersion": "200000"}}
    path.write_text(json.dumps({**head, "items": items}, separators=(",", ":")))
    result = ground.run("decode", path, PASSES)
    megabytes = result["bytes"] / 1e6
    rate = {name: megabytes / (result[f"{name}_ns"]["p50"] / 1e9) for name in ("decode", "cut")}
    size = f"{megabytes:.1f} MB, {result['slices']} slices, {result['endpoints']} endpoints"
    report.add(f"decode {size}", f"{rate['decode']:.0f} MB/s, {result['decode_ns']['p50'] / 1e6:.0f} ms", **result)
    report.add("    of which cutting it into objects", f"{rate['cut']:.0f} MB/s")
    report.add("    memory of the result", f"{result['result_bytes'] / result['endpoints']:.0f} B an endpoint")
    slice_bytes = result["bytes"] / result["slices"]
    report.add("    most memory beyond the result",
               f"{result['extra_bytes'] / 1024:.0f} KiB = {result['extra_bytes'] / slice_bytes:.1f} slices")
