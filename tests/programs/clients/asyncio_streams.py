# SPDX-License-Identifier: Apache-2.0
"""asyncio_streams.py HOST PORT COUNT: COUNT connections at once, then COUNT by the loop's own calls; prints pod and peer."""
import asyncio
import socket
import sys

host, port, count = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


async def streams() -> str:
    reader, writer = await asyncio.wait_for(asyncio.open_connection(host, port), 5)
    writer.write(b"WHO\n")
    pod = (await reader.readline()).decode().strip()
    peer = writer.get_extra_info("peername")[:2]
    writer.close()
    await writer.wait_closed()
    return f"{pod} {peer}"


async def calls(loop: asyncio.AbstractEventLoop) -> str:
    family, kind, protocol, _name, address = (await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))[0]
    with socket.socket(family, kind, protocol) as connection:
        connection.setblocking(False)
        await loop.sock_connect(connection, address)
        await loop.sock_sendall(connection, b"WHO\n")
        pod = (await loop.sock_recv(connection, 100)).decode().strip()
        return f"{pod} {connection.getpeername()[:2]}"


async def process() -> str:
    """A child of the loop connects too, and has the three descriptors of every child."""
    code = (
        f"import os, socket; s = socket.create_connection(({host!r}, {port})); s.send(b'WHO\\n'); "
        "print(s.recv(99), os.listdir('/proc/self/fd'))"
    )
    child = await asyncio.create_subprocess_exec(sys.executable, "-I", "-S", "-c", code, stdout=asyncio.subprocess.PIPE)
    return (await child.communicate())[0].decode().strip()


async def main() -> None:
    loop = asyncio.get_running_loop()
    for line in sorted(await asyncio.gather(*(streams() for _ in range(count)))):
        print(line)
    for _ in range(count):
        print(await calls(loop))
    print(await process())


asyncio.run(main())
