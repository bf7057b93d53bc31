# SPDX-License-Identifier: Apache-2.0
"""asyncio_loop.py HOST PORT COUNT: one connection after the other by asyncio; prints the pod that answered each."""
import asyncio
import sys


async def ask(host: str, port: int) -> str:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
    writer.write(b"WHO\n")
    pod = (await reader.readline()).decode().strip()
    writer.close()
    await writer.wait_closed()
    return pod


async def main() -> None:
    for _ in range(int(sys.argv[3])):
        print(await ask(sys.argv[1], int(sys.argv[2])))


asyncio.run(main())
