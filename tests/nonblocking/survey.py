# SPDX-License-Identifier: Apache-2.0
"""python -m tests.nonblocking.survey REPORT: docs/programs.md, made of the report (JUnit XML) of a run of test_programs.py

make survey does both. It prints the page; what a test that failed has seen is in it as well.
"""
import json
import os
import re
import sys
import xml.etree.ElementTree as xml
from typing import Any, Dict, List

from tests.failover.dead_pods import FAR_MS
from tests.nonblocking.drivers import DRIVERS

PAGE = """# What programs that connect without blocking see

A Service of three pods, of which one is dead: it refuses at once, refuses late (a round trip of {rtt} ms), or is silent. What
processes know of a dead pod is forgotten at once here, so that every third connection meets it; else the first one alone does
([failover.md](failover.md)). Each program gives a connection three seconds. The figures are errors of connections, and the
longest connection in seconds, which has the start of a process in it where each connection is one (wget, nc, ncat, socat, psql,
mariadb, kcat), and that of a virtual machine in the first ones of Java. "Filter off" is `K8SLB_EVENTS=off`. The last two columns are
the longest connection without the library and with it when all pods are dead: the program's error is the same.

wget blocks and the JDK's HttpClient connects again by itself: they see no dead pod without the filter either. JDK AIO waits in one
thread, without a time-out, before another one connects: a silent pod is what [failover.md](failover.md) says of such programs.

| program | all good | filter off, refuses | refuses | refuses late | silent | all refuse | all silent |
|---|---|---|---|---|---|---|---|
{rows}

{programs} programs, {connections} connections beside a dead pod with the filter, {errors} errors. Measured {date}, {system}, on two
processors that are shared with the pods. Written by `make survey`; `make test` runs those in bold, `make soak` all.
"""
COLUMNS = ("good", "off", "refused", "refused later", "silent", "all refuse", "all drop")
FILTERED = ("refused", "refused later", "silent")


def figures_of(report: xml.ElementTree) -> Dict[str, Dict[str, Any]]:
    """Of each driver, by its id."""
    found: Dict[str, Dict[str, Any]] = {}
    for case in report.iter("testcase"):
        name = re.search(r"test_programs$", case.get("classname", "")) and re.search(r"\[(.*)\]$", case.get("name", ""))
        for item in case.iter("property"):
            if name and item.get("name") == "figures":
                driver = re.sub(r"^double-(refuse-|drop-)?", "", name[1])
                found.setdefault(driver, {}).update(json.loads(item.get("value", "{}")))
    return found


def cell(column: str, told: Any) -> str:
    if told is None:
        return ""
    if column == "good":
        return f"{told[1]:.3f}"
    if column == "off":
        return f"{told[0]} of {told[1]}"
    if column in FILTERED:
        return f"{told[0]} of {told[1]}, {told[2]:.3f}"
    return f"{told[0]:.3f}, {told[1]:.3f}"


def page(report: xml.ElementTree) -> str:
    figures = figures_of(report)
    rows: List[str] = []
    for driver in DRIVERS:
        told = figures.get(driver.name.replace(" ", "-"))
        if told:
            name = f"**{driver.name}**" if driver.quick else driver.name
            rows.append(" | ".join([f"| {name}", *(cell(column, told.get(column)) for column in COLUMNS)]) + " |")
    filtered = [told[column] for told in figures.values() for column in FILTERED if column in told]
    first = next(report.iter("testsuite"))
    system = re.search(r'PRETTY_NAME="(.*?)"', open("/etc/os-release").read())
    release = ".".join(os.uname().release.split(".")[:2])
    return PAGE.format(
        rtt=2 * FAR_MS,
        rows="\n".join(rows),
        programs=len(rows),
        connections=sum(one[1] for one in filtered),
        errors=sum(one[0] for one in filtered),
        date=first.get("timestamp", "")[:10],
        system=f"Linux {release}, {system[1] if system else 'another system'}",
    )


if __name__ == "__main__":
    print(page(xml.parse(sys.argv[1])), end="")
