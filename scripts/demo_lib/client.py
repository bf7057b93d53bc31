# SPDX-License-Identifier: Apache-2.0
"""An ordinary program that knows nothing of pods: client.py URL. Asks again and again, each time by a new connection."""
import sys
import time
import urllib.request

PAUSE_S = 0.03


def main() -> None:
    while True:
        try:
            with urllib.request.urlopen(sys.argv[1], timeout=5) as answer:
                line = answer.read().decode().strip()
        except OSError as error:
            line = f"error: {error}"
        print(line, flush=True)
        time.sleep(PAUSE_S)


if __name__ == "__main__":
    try:
        main()
    except (BrokenPipeError, KeyboardInterrupt):
        pass
