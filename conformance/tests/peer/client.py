"""A client of the protocol, written by docs/implementing-a-client.md, and a test of it.

`client.py --url ws://127.0.0.1:8000/ws` lets clients with different profiles edit one document at once,
cuts their connections at random, and compares all texts at the end.
"""

import argparse
import asyncio
import json
import random
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

ALL = ["resume", "state", "runs", "presence"]
ROOT = (0, "root")


class Text:
    """The CRDT, by the list rule."""

    def __init__(self):
        self.ids, self.values, self.deleted, self.known = [], {}, set(), set()
        self.waiting, self.clock = {}, 0

    def integrate(self, op):
        for kind, parent, own, value in elements(op):
            self.one(kind, parent, own, value)

    def one(self, kind, parent, own, value):
        if kind == "del":
            if own in self.known:
                self.deleted.add(own)
            else:
                self.waiting.setdefault(own, []).append((kind, parent, own, value))
            return
        if own in self.known:
            return
        if parent != ROOT and parent not in self.known:
            self.waiting.setdefault(parent, []).append((kind, parent, own, value))
            return
        place = 0 if parent == ROOT else self.ids.index(parent) + 1
        while place < len(self.ids) and self.ids[place] > own:
            place += 1
        self.ids.insert(place, own)
        self.known.add(own)
        self.values[own] = value
        self.clock = max(self.clock, own[0])
        for one in self.waiting.pop(own, []):
            self.one(*one)

    def seed(self, state):
        self.__init__()
        for span in state["elements"]:
            lamport, replica = span["id"]
            for at in range(span.get("deleted") or len(span["text"])):
                own = (lamport + at, replica)
                self.ids.append(own)
                self.known.add(own)
                self.clock = max(self.clock, own[0])
                if "text" in span:
                    self.values[own] = span["text"][at]
                else:
                    self.deleted.add(own)
        for op in state["pending"]:
            self.integrate(op)

    def visible(self):
        return [own for own in self.ids if own not in self.deleted]

    def text(self):
        return "".join(self.values[own] for own in self.visible())


def elements(op):
    """The op's elements, one by one."""
    lamport, replica = op["id"]
    if op["type"] == "del":
        for at in range(op.get("count", 1)):
            yield "del", None, (lamport + at, replica), None
        return
    parent = tuple(op["parent_id"])
    for at, value in enumerate(op["value"]):
        yield "ins", parent, (lamport + at, replica), value
        parent = (lamport + at, replica)


class Client:
    def __init__(self, url, doc_id, client_id, ask):
        self.url, self.doc_id, self.client_id, self.ask = url, doc_id, client_id, ask
        self.epoch, self.last, self.next_msg = None, 0, 0
        self.text, self.unconfirmed, self.limits = Text(), {}, None
        self.on, self.head, self.state, self.ws = [], 0, "OFFLINE", None
        self.progress, self.stop, self.typed = asyncio.Condition(), False, 0
        self.editable, self.left = True, {}

    async def run(self):
        while not self.stop:
            try:
                async with connect(self.url, max_size=None) as self.ws:
                    hello = {"type": "hello", "doc_id": self.doc_id, "client_id": self.client_id,
                             "last_seen_server_seq": self.last}
                    if self.ask:
                        hello["capabilities"] = self.ask
                    if self.epoch is not None:
                        hello["epoch"] = self.epoch
                    await self.ws.send(json.dumps(hello))
                    self.state = "GREETED"
                    async for frame in self.ws:
                        await self.receive(json.loads(frame))
                        async with self.progress:
                            self.progress.notify_all()
            except (ConnectionClosed, OSError) as error:
                code = getattr(getattr(error, "rcvd", None), "code", 1006)
                if code not in (1000, 1001, 1006, 1013):
                    sys.exit(f"{self.client_id} was closed with {code}: {error}")
            self.state, self.ws = "OFFLINE", None

    async def receive(self, message):
        kind = message["type"]
        if kind == "hello_ack":
            self.on, self.head = message.get("capabilities", []), message["server_seq"]
            self.limits = message.get("limits")
            new = ("resume" in self.on and self.epoch not in (None, message["epoch"])) or (
                "resume" not in self.on and self.head < self.last)
            if new:
                sys.exit(f"{self.client_id} is told of another history")
            self.epoch = message.get("epoch")
            self.state = "CATCHING UP"
            if message.get("sync") == "replay" and self.last == self.head:
                await self.caught_up()
        elif kind == "resync":
            self.last = message["server_seq"]
            if "state" in self.on:
                self.text.seed(message["state"])
                if self.text.text() != message["full_text"]:
                    sys.exit("a state is not its text")
            elif self.last > 0 and message["full_text"] != self.text.text() and not self.unconfirmed:
                self.editable = False  # a text without ids, to read
            for op in self.unconfirmed.values():
                self.text.integrate(op["op"])
            await self.caught_up()
        elif kind == "op_echo":
            seq, op = message["server_seq"], message["op"]
            n = len(op["value"]) if op["type"] == "ins" else op.get("count", 1)
            if seq > self.last:
                if seq - n != self.last:
                    sys.exit(f"{self.client_id}: seq {seq} of {n} after {self.last}")
                self.text.integrate(op)
                self.last = seq
            if message["origin_client_id"] == self.client_id:
                mine = self.unconfirmed.get(message["client_msg_id"])
                if mine and list(elements(mine["op"]))[-1][2] == list(elements(op))[-1][2]:
                    del self.unconfirmed[message["client_msg_id"]]
            if self.state == "CATCHING UP" and self.last >= self.head:
                await self.caught_up()

    async def caught_up(self):
        self.state = "LIVE"
        for op in list(self.unconfirmed.values()):
            await self.ws.send(json.dumps(op))

    async def edit(self, op):
        self.text.integrate(op)
        self.next_msg += 1
        message = {"type": "op", "doc_id": self.doc_id, "client_id": self.client_id,
                   "client_msg_id": f"m-{self.next_msg}", "op": op}
        if "resume" in self.on:
            message["epoch"] = self.epoch
        self.unconfirmed[message["client_msg_id"]] = message
        if self.state == "LIVE":
            try:
                await self.ws.send(json.dumps(message))
            except ConnectionClosed:
                pass

    async def type(self, place, text):
        visible = self.text.visible()
        parent = visible[place - 1] if place else ROOT
        pieces = [text] if "runs" in self.on else list(text)
        for piece in pieces:
            own = (self.text.clock + 1, self.client_id)
            await self.edit({"type": "ins", "parent_id": parent, "id": own, "value": piece})
            parent = (own[0] + len(piece) - 1, self.client_id)
        self.typed += len(text)

    async def delete(self, place, length):
        found = self.text.visible()[place : place + length]
        while found:
            run = 1
            while "runs" in self.on and run < len(found) and found[run] == (
                    found[0][0] + run, found[0][1]):
                run += 1
            op = {"type": "del", "id": found[0]}
            if run > 1:
                op["count"] = run
            await self.edit(op)
            found = found[run:]

    def cut(self):
        if self.ws:
            self.ws.transport.abort()


async def until(client, condition, what):
    async with client.progress:
        try:
            await asyncio.wait_for(client.progress.wait_for(condition), 30)
        except TimeoutError:
            sys.exit(f"{client.client_id}: {what} does not come ({client.state}, "
                     f"{len(client.unconfirmed)} unconfirmed, last {client.last})")


async def play(url, seed, steps):
    dice = random.Random(seed)
    doc = f"doc-{seed}-{random.SystemRandom().getrandbits(60):x}"
    asks = [ALL, ALL, ["resume", "state"], ["state"], ["resume", "runs"], ["runs"], ["state", "runs"], []]
    clients = [Client(url, doc, f"c{number}", ask) for number, ask in enumerate(asks)]
    tasks = [asyncio.create_task(client.run()) for client in clients]
    for client in clients:
        await until(client, lambda c=client: c.state == "LIVE", "the first sync")
    for _ in range(steps):
        client = dice.choice(clients)
        if not client.editable:
            continue
        length = len(client.text.visible())
        kind = dice.randrange(10)
        if kind < 6:
            text = "".join(dice.choice("abcxyz😀é") for _ in range(dice.randint(1, 9)))
            await client.type(dice.randint(0, length), text)
        elif kind < 8 and length:
            await client.delete(dice.randrange(length), dice.randint(1, 6))
        elif client.last > 0:
            client.cut()
        await asyncio.sleep(0)
        if dice.randrange(4) == 0:
            await until(client, lambda c=client: c.state == "LIVE", "the sync")
    for client in clients:
        await until(client, lambda c=client: c.state == "LIVE" and not c.unconfirmed, "a confirmation")
    head = max(client.last for client in clients)
    for client in clients:
        await until(client, lambda c=client: c.last >= head, "the last op")
    fresh = Client(url, doc, "fresh", ["state"])
    tasks.append(asyncio.create_task(fresh.run()))
    await until(fresh, lambda: fresh.state == "LIVE", "the last sync")
    texts = {client.text.text() for client in clients if client.editable} | {fresh.text.text()}
    if len(texts) != 1:
        sys.exit(f"seed {seed}: the texts differ: {texts}")
    made = {own for client in clients for own in client.text.known}
    if len(made) != sum(client.typed for client in clients):
        sys.exit(f"seed {seed}: {len(made)} elements of {sum(c.typed for c in clients)} typed")
    for client in clients + [fresh]:
        client.stop = True
    for task in tasks:
        task.cancel()
    return head


async def main():
    options = argparse.ArgumentParser()
    options.add_argument("--url", required=True)
    options.add_argument("--seeds", type=int, default=10)
    options.add_argument("--steps", type=int, default=200)
    chosen = options.parse_args()
    seqs = 0
    for seed in range(chosen.seeds):
        seqs += await play(chosen.url, seed, chosen.steps)
    print(f"{chosen.seeds} histories of {seqs} seqs: all texts agree")


asyncio.run(main())
