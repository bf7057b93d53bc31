# SPDX-License-Identifier: Apache-2.0
"""each.py [--answer REGEX] [--input TEXT] COUNT PARALLEL COMMAND...: a process for each connection

One line of SECONDS RESULT for each. The result is the group of what is found in its output, by default a word alone on its
line of standard output; else the last line that it printed. A program whose output has an answer is not waited for.
"""
import argparse
import re
import subprocess
import threading
import time


def run(arguments: argparse.Namespace) -> None:
    began = time.monotonic()
    process = subprocess.Popen(arguments.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert process.stdin and process.stdout
    try:
        process.stdin.write(arguments.input.replace("\\n", "\n"))
        process.stdin.close()
    except BrokenPipeError:  # it has failed already
        pass
    result = "nothing"
    for line in process.stdout:
        found = re.search(arguments.answer, line)
        result = next(filter(None, found.groups())) if found else line.strip() or result
        if found:
            break
    print(f"{time.monotonic() - began:.6f} {result}\n", end="", flush=True)
    process.kill()
    process.wait()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--answer", default=r"^(\w+-\d+)$")
    parser.add_argument("--input", default="")
    parser.add_argument("count", type=int)
    parser.add_argument("parallel", type=int)
    parser.add_argument("command", nargs=argparse.REMAINDER)
    arguments = parser.parse_args()
    free = threading.Semaphore(arguments.parallel)

    def work() -> None:
        with free:
            run(arguments)

    threads = [threading.Thread(target=work) for _ in range(arguments.count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
