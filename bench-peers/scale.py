#!/usr/bin/env python3
"""The reference at scale: many connections, documents and missed ops, long texts and pastes.

Starts the built server for each figure, and prints one line each. The server and this script share the
machine. Build first: `cargo build --release`.
"""

import argparse
import asyncio
import base64
import json
import os
import pathlib
import resource
import subprocess
import time

BUILT = pathlib.Path(__file__).resolve().parent.parent / "target" / "release"


class Server:
    def __enter__(self):
        self.process = subprocess.Popen(
            [BUILT / "collab-reference", "--port", "0", "--idle-seconds", "1"], stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL, text=True, env=os.environ | {"RUST_LOG": "warn"})
        self.url = self.process.stdout.readline().split()[-1]
        self.port = int(self.url.split(":")[2].split("/")[0])
        return self

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait()

    def memory(self, name="VmRSS"):
        """In bytes: VmRSS now, VmHWM at most so far."""
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) << 10
        raise LookupError(name)


class Client:
    """Sends text frames, and looks at what comes as one stream of bytes."""

    async def open(self, server, client_id, last_seen=0, profiles=None, epoch=None):
        self.client_id = client_id
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", server.port, limit=1 << 20)
        key = base64.b64encode(os.urandom(16)).decode()
        self.writer.write(
            f"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n".encode())
        await self.reader.readuntil(b"\r\n\r\n")
        hello = {"type": "hello", "doc_id": "doc", "client_id": client_id, "last_seen_server_seq": last_seen}
        if profiles:
            hello["capabilities"] = profiles
        self.send(hello)
        return self

    def send(self, message):
        payload = json.dumps(message).encode()
        length = len(payload)
        if length < 126:
            head = bytes([0x81, 0x80 | length])
        elif length < 1 << 16:
            head = bytes([0x81, 0x80 | 126]) + length.to_bytes(2, "big")
        else:
            head = bytes([0x81, 0x80 | 127]) + length.to_bytes(8, "big")
        # Masked with zeros, which leaves the payload as it is.
        self.writer.write(head + bytes(4) + payload)

    def insert(self, lamport, value):
        parent = [0, "root"] if lamport == 1 else [lamport - 1, self.client_id]
        self.send({"type": "op", "doc_id": "doc", "client_id": self.client_id,
                   "client_msg_id": f"m{lamport}",
                   "op": {"type": "ins", "parent_id": parent, "id": [lamport, self.client_id], "value": value}})

    async def until(self, *words):
        """Reads until all words have come; how many bytes that were."""
        total, end = 0, b""
        missing = {word.encode() for word in words}
        while missing:
            some = await self.reader.read(1 << 20)
            if not some:
                raise ConnectionError("the server ended the connection")
            total += len(some)
            looked_at = end + some
            missing = {word for word in missing if word not in looked_at}
            end = looked_at[-64:]
        return total


def load(server, docs, clients, secs, *more):
    """Runs the load, and looks at the server's memory while it does."""
    process = subprocess.Popen(
        [BUILT / "collab-conformance", "load", "--url", server.url, "--docs", str(docs), "--clients",
         str(clients), "--secs", str(secs), "--warm-up", "0.5", *more],
        stdout=subprocess.PIPE, text=True)
    out = process.communicate()[0]
    if process.returncode:
        raise RuntimeError(out)
    return out.splitlines()


def idle(scale):
    count = 10_000 // scale
    with Server() as server:
        before = server.memory()
        load(server, 1, count, 1, "--rate", "0.001")
        each = (server.memory("VmHWM") - before) / count
        print(f"{count} idle connections: {each / 1024:.1f} KiB each at most")


def documents(scale):
    count = 10_000 // scale
    with Server() as server:
        before = server.memory()
        lines = load(server, count, 1, 3, "--rate", str(count / 5))
        most = server.memory("VmHWM") - before
        time.sleep(8)
        after = server.memory() - before
        print(f"{count} documents, a client each: {most >> 20} MiB at most, {after >> 20} MiB when idle;"
              f"{lines[1].rstrip()}")


def one_room(scale):
    count = 1_000 // scale
    with Server() as server:
        lines = load(server, 1, count, 3, "--rate", "50")
        print(f"{count} clients in one room, 50 ops/s:{lines[1].rstrip()}; others {lines[3].split('  ', 2)[2]}")


async def storm(scale):
    count, missed = 1_000 // scale, 1_000
    with Server() as server:
        writer = await Client().open(server, "W")
        for lamport in range(1, missed + 2):
            writer.insert(lamport, "a")
        await writer.until(f'"client_msg_id":"m{missed + 1}"')
        begin = time.perf_counter()

        async def back(number):
            client = await Client().open(server, f"c{number}", last_seen=1)
            return await client.until(f'"client_msg_id":"m{missed + 1}"')

        total = sum(await asyncio.gather(*(back(number) for number in range(count))))
        took = time.perf_counter() - begin
        print(f"{count} clients come back with {missed} missed ops each: {took:.2f} s, {total >> 20} MiB,"
              f" {count * missed / took:,.0f} echoes/s, {server.memory('VmHWM') >> 20} MiB at most")


async def join(scale):
    length, run = 1_000_000 // scale, 50_000
    with Server() as server:
        writer = await Client().open(server, "W", profiles=["runs"])
        lamport = 1
        while lamport <= length:
            writer.insert(lamport, "a" * min(run, length + 1 - lamport))
            lamport += run
        await writer.until(f'"client_msg_id":"m{lamport - run}"')
        before = server.memory()
        begin = time.perf_counter()
        client = await Client().open(server, "J", profiles=["state"])
        total = await client.until('"full_text"', '"pending":[]')
        took = time.perf_counter() - begin
        print(f"join a document of {length} characters, with state: {took * 1000:.0f} ms, {total:,} bytes,"
              f" {server.memory('VmHWM') - before >> 20} MiB more at most")


async def paste(scale):
    length, count = 60_000 // scale, 50
    with Server() as server:
        observers = [await Client().open(server, f"o{number}") for number in range(count)]
        for observer in observers:
            await observer.until('"resync"')
        writer = await Client().open(server, "W", profiles=["runs"])
        begin = time.perf_counter()
        writer.insert(1, "a" * length)
        total = sum(await asyncio.gather(
            *(observer.until(f'"server_seq":{length},') for observer in observers)))
        took = time.perf_counter() - begin
        print(f"a paste of {length} characters to {count} plain observers: {took:.2f} s, {total >> 20} MiB,"
              f" {count * length / took:,.0f} echoes/s, {server.memory('VmHWM') >> 20} MiB at most")


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smaller", type=int, default=1, help="divide all by so much")
    parser.add_argument("only", nargs="*", help="idle, documents, one_room, storm, join, paste")
    arguments = parser.parse_args()
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    for figure in (idle, documents, one_room, storm, join, paste):
        if not arguments.only or figure.__name__ in arguments.only:
            result = figure(arguments.smaller)
            if result is not None:
                asyncio.run(result)


if __name__ == "__main__":
    main()
