# SPDX-License-Identifier: Apache-2.0
"""The story of the demo, stage by stage. Started by scripts/demo."""
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Dict, List, Mapping

from scripts.demo_lib.picture import Picture, Screen
from scripts.demo_lib.stage import DemoError, Stage, clean_environment
from tests.harness import Build
from tests.kube import namespace
from tests.kube.cluster import Pod, Service
from tests.kube.double_cluster import DoubleCluster

CURLS = 12  # by address, and again by name
CONNECTIONS = 300
SHIFT_ANSWERS = 50  # of the long-running program, before and after each change
GONE_ANSWERS = 15  # after a pod was deleted, until it stops listening
LATEST_S = 1.0  # a running program must have left a deleted pod by then; it takes milliseconds, this is for a busy machine
PROBE_TIMEOUT_S = 2


class Demo:
    def __init__(self, cluster: DoubleCluster, build: Build, directory: str) -> None:
        self.screen = Screen()
        self.cluster = cluster
        self.problems: List[str] = []
        self.requests = 0
        self.service: Service = cluster.create_service("web")
        self.pods: List[Pod] = [self.add_pod(number) for number in range(3)]
        cluster.wait_endpoints(self.service, 3)
        self.plain_env = clean_environment(directory)
        self.env: Dict[str, str] = {**self.plain_env, **cluster.env("web"), "LD_PRELOAD": build.preload()}
        self.preload = f"LD_PRELOAD={os.path.relpath(build.shim)}"

    def add_pod(self, number: int) -> Pod:
        return self.cluster.add_pod(f"web-{number}", {"app": "web"})

    @property
    def names(self) -> List[str]:
        return [pod.name for pod in self.pods]

    def expect(self, condition: bool, problem: str) -> None:
        if not condition:
            self.problems.append(problem)

    def finish(self, stage: Stage) -> None:
        self.requests += len(stage.answers) + len(stage.errors)
        for error in dict.fromkeys(stage.errors):
            times = stage.errors.count(error)
            self.problems.append(error if times == 1 else f"{error} ({times} times)")

    def expect_even(self, counts: Mapping[str, int], when: str) -> None:
        self.expect(
            max(counts.values()) - min(counts.values()) <= 1,
            f"uneven {when}: " + ", ".join(f"{pod} {count}" for pod, count in counts.items()),
        )

    def introduce(self) -> None:
        say = self.screen.say
        say(self.screen.colour("1", "k8slb: unmodified programs, balanced over the pods of a Service"))
        say()
        say(f"   API server  {self.cluster.url}   a double of kube-apiserver: TLS, token, watches")
        say(f"   Service     web  {self.service.vip}:{self.service.port}   nobody listens there: no kube-proxy")
        for pod in self.pods:
            say(f"   pod         {pod.name}  {pod.ip}:{pod.port}   answers every request with its name")
        say()
        say("   Set for all programs below (in a Pod only K8SLB_SERVICES is needed):")
        for name, value in self.cluster.env("web").items():
            if name != "K8SLB_NAMESPACE":
                self.screen.note(self.screen.colour("2", f"{name}={value}"))

    def one_process_each(self) -> None:
        vip, name = f"http://{self.service.vip}/", "http://web/"
        self.screen.title(f"1. {2 * CURLS} curls, a new process each: every one begins with a pod by chance")
        self.screen.command(f"{self.preload} curl {name}", f"{self.preload} curl {vip}")
        picture = Picture(self.screen, [""], full=2 * CURLS)
        with Stage(picture, self.names, self.env) as stage:
            # The name first: a lookup waits for the first table as long as that takes, a curl's connect() a moment only.
            for url in (name, vip):
                for _ in range(CURLS):
                    if not stage.errors:
                        stage.run(0, ["curl", "-sS", "--max-time", "5", url])
                        picture.draw()
        self.finish(stage)

    def one_process(self) -> None:
        url = f"http://web/?[1-{CONNECTIONS}]"
        self.screen.title(f"2. One curl, {CONNECTIONS} connections: every pod in its turn")
        self.screen.command(f"{self.preload} curl -H 'Connection: close' '{url}'")
        command = ["curl", "-sSN", "--max-time", "20", "-H", "Connection: close", url]
        with Stage(Picture(self.screen, [""], full=CONNECTIONS // 2), self.names, self.env) as stage:
            stage.background(0, command)
            stage.wait("all answers", lambda: len(stage.answers) >= CONNECTIONS)
        self.finish(stage)
        self.expect_even(stage.tally(0), "over one process")

    def pods_change(self) -> None:
        client = os.path.relpath(Path(__file__).with_name("client.py"))
        self.screen.title("3. Pods change under two loops: one Python program that runs on, and curl")
        self.screen.command(
            f"{self.preload} python3 {client} http://web/",
            f"while sleep 0.05; do {self.preload} curl http://{self.service.vip}/; done",
        )
        picture = Picture(self.screen, ["one Python program", "a new curl each time"], full=3 * SHIFT_ANSWERS // 2)
        gone = self.pods[1]
        with Stage(picture, self.names, self.env) as stage:
            stage.background(0, [sys.executable, "-S", client, "http://web/"])
            curl = ["curl", "-sS", "--max-time", "5", f"http://{self.service.vip}/"]
            stage.background(1, curl, again_after_s=0.05)
            self._wait_shift(stage)
            self.expect_even(stage.tally(0), "before the change")

            deleted = time.monotonic()
            self.cluster.terminate(gone)
            stage.pod(gone.name, "deleted")
            self.screen.event(f"kubectl delete pod {gone.name}")
            stage.wait_answers(GONE_ANSWERS)
            # What a kubelet does after the grace period: who still went there would be refused from now on.
            self.cluster.delete_pod(gone, stop_listener=True)
            self._wait_shift(stage)

            ready = time.monotonic()
            new = self.add_pod(3)
            stage.pod(new.name, "new")
            self.screen.event(f"a new pod is ready: {new.name}")
            self._wait_first(stage, new)
            settled = len(stage.answers)
            self._wait_shift(stage)
            counts = stage.tally(0, first=settled)
        self.pods = [pod for pod in self.pods if pod is not gone] + [new]
        self.finish(stage)
        counts.pop(gone.name)
        self.expect_even(counts, "after the changes")
        last = max(answer.when for answer in stage.answers if (answer.column, answer.pod) == (0, gone.name)) - deleted
        first = min(answer.when for answer in stage.answers if answer.pod == new.name) - ready
        self.expect(last < LATEST_S, f"{gone.name} was still used {last * 1000:.0f} ms after it was deleted")
        self.screen.note(f"{gone.name}: {_last_use(last)}; {new.name}: first used {first * 1000:.0f} ms after it was ready.")
        self.screen.note(f"{len(stage.answers)} requests meanwhile, {len(stage.errors)} errors.")

    def _wait_shift(self, stage: Stage) -> None:
        before = len(stage.answers)
        stage.wait(
            f"{SHIFT_ANSWERS} answers of the Python program",
            lambda: sum(answer.column == 0 for answer in stage.answers[before:]) >= SHIFT_ANSWERS,
        )

    def _wait_first(self, stage: Stage, pod: Pod) -> None:
        stage.wait(
            f"{pod.name} used by both programs",
            lambda: len({answer.column for answer in stage.answers if answer.pod == pod.name}) == 2,
        )

    def without(self) -> None:
        self.screen.title("4. The same without LD_PRELOAD")
        for url in (f"http://{self.service.vip}/", "http://web/"):
            command = ["curl", "-sS", "--max-time", str(PROBE_TIMEOUT_S), url]
            self.screen.command(" ".join(command))
            result = subprocess.run(command, env=self.plain_env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
            self.screen.note((result.stderr or result.stdout).strip())
            self.expect(result.stdout.strip() not in self.names, f"{url} reached a pod without LD_PRELOAD")
        self.screen.note("No kube-proxy serves the VIP here. In a cluster it would, and that is what k8slb falls back to.")

    def conclude(self) -> int:
        self.screen.say()
        if not self.problems:
            self.screen.say(self.screen.colour("1;32", f"OK: {self.requests} requests balanced, none failed."))
            return 0
        for problem in self.problems:
            self.screen.say(self.screen.colour("31", f"FAILED: {problem}"))
        return 1

    def play(self) -> int:
        self.introduce()
        for stage in (self.one_process_each, self.one_process, self.pods_change, self.without):
            stage()
            if self.problems:
                break
        return self.conclude()


def _last_use(seconds: float) -> str:
    """For the program that ran on, which must learn of the deletion by its watch."""
    return f"last used {seconds * 1000:.0f} ms after its deletion" if seconds > 0 else "not used after its deletion"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def main() -> int:
    if not namespace.has_netns():
        print("demo: network namespaces are not permitted here, and pods on loopback addresses are refused", file=sys.stderr)
        return 1
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        signal.signal(number, _interrupt)
    # The process behind the pods inherits this: Ctrl-C is not for it, it ends when its input is closed.
    signal.pthread_sigmask(signal.SIG_BLOCK, signals)
    cluster = DoubleCluster()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
        with tempfile.TemporaryDirectory(prefix="k8slb-demo-") as directory:
            return Demo(cluster, Build(Path(os.environ.get("BUILD") or "build").resolve()), directory).play()
    except KeyboardInterrupt:
        print("\ndemo: interrupted")
        return 130
    except BrokenPipeError:
        # Nobody reads any more (scripts/demo | head); the interpreter's own flush at exit must not complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except DemoError as error:
        print(f"\nFAILED: {error}")
        return 1
    finally:
        signal.pthread_sigmask(signal.SIG_BLOCK, signals)
        cluster.close()


if __name__ == "__main__":
    sys.exit(main())
