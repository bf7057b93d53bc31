# SPDX-License-Identifier: Apache-2.0
"""http_pool.py MODE HOST PORT COUNT: requests and urllib3 under the tests; prints the pod of each answer."""
import os
import sys
import threading
from collections import Counter

import requests
import urllib3

mode, host, port, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
url = f"http://{host}:{port}/"


def one_session() -> None:
    """One kept connection."""
    with requests.Session() as session:
        for i in range(count):
            print(session.get(url + str(i), timeout=5).text, end="")


def closing() -> None:
    """A connection for each request, in one session."""
    with requests.Session() as session:
        for i in range(count):
            print(session.get(url + str(i), timeout=5, headers={"Connection": "close"}).text, end="")


def threads() -> None:
    """A pool of four connections for eight threads: never more than four are made."""
    pool = urllib3.PoolManager(maxsize=4, block=True)
    found: "Counter[str]" = Counter()
    all_started = threading.Barrier(4)

    def work() -> None:
        for i in range(count):
            # The first four hold their connections until all have one.
            answer = pool.request("GET", url + str(i), timeout=5, preload_content=False)
            if i == 0 and threading.current_thread().name.startswith("first"):
                all_started.wait(5)
            found[answer.read().decode().strip()] += 1
            answer.release_conn()

    first = [threading.Thread(target=work, name=f"first-{i}") for i in range(4)]
    others = [threading.Thread(target=work) for _ in range(4)]
    for thread in first:
        thread.start()
    for thread in first:
        thread.join()
    for thread in others:
        thread.start()
    for thread in others:
        thread.join()
    print(len(found), sum(found.values()), pool.connection_from_url(url).num_connections)


def retries() -> None:
    """A path that is busy: three more tries, each on a connection of its own; then an address that refuses."""
    retry = urllib3.Retry(total=3, status_forcelist=[503], backoff_factor=0)
    pool = urllib3.PoolManager()
    for _ in range(count):
        try:
            pool.request("GET", url + "busy", retries=retry, headers={"Connection": "close"})
        except urllib3.exceptions.MaxRetryError as error:
            print(type(error.reason).__name__, error.reason)
    try:
        pool.request("GET", "http://127.0.0.1:9/", retries=urllib3.Retry(2, backoff_factor=0))
    except urllib3.exceptions.MaxRetryError as error:
        print(type(error.reason).__name__, str(error.reason).partition(": ")[2])


def child() -> None:
    """A session used on both sides of a fork, each with a connection of its own."""
    session = requests.Session()
    for _ in range(count):
        print(session.get(url, headers={"Connection": "close"}, timeout=5).text, end="", flush=True)
    pid = os.fork()
    for _ in range(count):
        print(session.get(url, headers={"Connection": "close"}, timeout=5).text, end="", flush=True)
    if pid:
        print(os.waitpid(pid, 0)[1], sorted(os.listdir("/proc/self/fd")))


{"one-session": one_session, "closing": closing, "threads": threads, "retries": retries, "child": child}[mode]()
