"""A client for the protocol, written from docs/implementing-a-client.md and the specification alone.

As a program it tests itself: the vectors, and then many clients on one server, whose connections break:

    client.py --url ws://127.0.0.1:8000/ws [--seconds 10] [--seed 1]
"""

import argparse
import asyncio
import collections
import contextlib
import json
import pathlib
import random
import secrets
import sys

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

ROOT = (0, "root")
PROFILES = ("resume", "state", "runs", "presence")
REFUSALS = (1002, 1008, 1009)  # close codes after which an op may be the culprit


def size(op):
    """The number of elements that an op makes or deletes."""
    return len(op["value"]) if op["type"] == "ins" else op.get("count", 1)


def elements(op):
    """An op's elements one by one: id, parent and character; only the id says something for a del."""
    lamport, replica = op["id"]
    parent = tuple(op.get("parent_id", ROOT))
    for i, char in enumerate(op["value"] if op["type"] == "ins" else " " * size(op)):
        yield (lamport + i, replica), parent, char
        parent = (lamport + i, replica)


class Crdt:
    """The elements of a document as a linked list in document order, by the list rule."""

    def __init__(self):
        self.next = {ROOT: None}  # id: the id right of it
        self.char = {}  # id: its character, None for a tombstone
        self.early_ins = {}  # parent: {id: character}, the inserts that wait for it
        self.early_del = set()  # the ids whose deletes wait for them
        self.clock = 0

    @classmethod
    def seeded(cls, state):
        crdt, left = cls(), ROOT
        for span in state["elements"]:
            lamport, replica = span["id"]
            for char in span["text"] if "text" in span else [None] * span["deleted"]:
                id = (lamport, replica)
                crdt.next[left], crdt.next[id], crdt.char[id] = id, None, char
                crdt.clock = max(crdt.clock, lamport)
                left, lamport = id, lamport + 1
        for op in state["pending"]:
            crdt.integrate(op)
        return crdt

    def integrate(self, op):
        for id, parent, char in elements(op):
            self.clock = max(self.clock, id[0])
            if op["type"] == "ins":
                self._insert(id, parent, char)
            elif id in self.char:
                self.char[id] = None
            else:
                self.early_del.add(id)

    def _insert(self, id, parent, char):
        todo = [(id, parent, char)]  # a list and no recursion: what waits may be a long chain
        while todo:
            id, parent, char = todo.pop()
            if id in self.char:
                continue
            if parent not in self.next:
                self.early_ins.setdefault(parent, {})[id] = char
                continue
            left = parent
            while (right := self.next[left]) is not None and right > id:
                left = right
            self.next[left], self.next[id] = id, right
            self.char[id] = None if id in self.early_del else char
            self.early_del.discard(id)
            todo += [(child, id, c) for child, c in self.early_ins.pop(id, {}).items()]

    def knows(self, id):
        return id in self.char or any(id in waiting for waiting in self.early_ins.values())

    def remove(self, ids):
        """Takes own elements out again that the server never had: nobody else's depend on them."""
        left = ROOT
        while (right := self.next[left]) is not None:
            if right in ids:
                self.next[left] = self.next.pop(right)
                del self.char[right]
            else:
                left = right

    def order(self):
        id = ROOT
        while (id := self.next[id]) is not None:
            yield id

    def visible(self):
        return [id for id in self.order() if self.char[id] is not None]

    def text(self):
        return "".join(self.char[id] or "" for id in self.order())

    def pending(self):
        """What waits, an op an element."""
        for parent, waiting in self.early_ins.items():
            for id, char in waiting.items():
                yield {"type": "ins", "parent_id": list(parent), "id": list(id), "value": char}
        yield from ({"type": "del", "id": list(id)} for id in self.early_del)

    def state(self):
        """The canonical `state`; a client has no need of it, its tests do."""
        spans, after = [], None
        for id in self.order():
            char, span = self.char[id], spans[-1] if spans else {}
            if id == after and (char is None) == ("deleted" in span):
                span.update({"deleted": span["deleted"] + 1} if char is None else {"text": span["text"] + char})
            else:
                spans.append({"id": list(id)} | ({"deleted": 1} if char is None else {"text": char}))
            after = (id[0] + 1, id[1])
        return {"elements": spans, "pending": list(self.pending())}


class Broken(Exception):
    """The server broke the protocol, or this client did."""


class Rejoin(Exception):
    """This connection is of no use; another one may be."""


class Client:
    """One user's view of one document: it keeps itself connected until `close`."""

    first_pause, last_pause = 0.25, 30.0  # seconds between attempts to connect

    def __init__(self, url, doc_id, client_id=None, ask=PROFILES):
        self.url, self.doc_id, self.ask = url, doc_id, ask
        self.client_id = client_id or "c-" + secrets.token_hex(8)
        self.crdt, self.epoch, self.last = Crdt(), None, 0
        self.unconfirmed, self.next_msg = {}, 1  # client_msg_id: op, in the order made
        self.on, self.limits = frozenset(), None  # of the last connection
        self.state, self.ws, self.outbox = "OFFLINE", None, None
        self.head, self.was_live, self.sent_ops = 0, False, False  # of this connection
        self.other_history = False  # told by an ack; what is known goes when the resync comes
        self.whole, self.shown = True, ""  # not whole: a text to read, without ids
        self.useless, self.gaps = 0, []  # resyncs in a row that could not be used; echoes that were missed
        self.suspect, self.refusals = False, 0
        self.presence, self.others = None, {}
        self.lost = []  # own ops that can't be saved, for the user to see
        self.task, self.failed, self.changed = None, None, asyncio.Event()
        self.frames = collections.deque(maxlen=60)  # for bug reports

    # What a user does.

    async def connect(self):
        """Returns when the document is there."""
        self.task = asyncio.create_task(self._run())
        await self.until(lambda: self.state == "LIVE")

    async def close(self):
        """Leaves when everything is confirmed; under the caller's deadline."""
        try:
            await self.until(lambda: not self.unconfirmed)
        finally:
            self.task.cancel()
            await asyncio.wait([self.task])

    async def until(self, true):
        """Waits until `true()`, which is asked again after every message and at a connection's end."""
        while not true():
            if self.failed:
                raise self.failed
            await self.changed.wait()

    def text(self):
        return self.crdt.text() if self.whole else self.shown

    def insert(self, at, text):
        """Inserts before the character number `at`, counted in code points."""
        text.encode()  # a lone surrogate is no character: it raises here
        visible = self._editable()
        parent = visible[at - 1] if at else ROOT
        cut = self._max_run()
        for i in range(0, len(text), cut):
            id = (self.crdt.clock + 1, self.client_id)
            value = text[i : i + cut]
            self._make({"type": "ins", "parent_id": list(parent), "id": list(id), "value": value})
            parent = (self.crdt.clock, self.client_id)

    def delete(self, at, count):
        self._delete(self._editable()[at : at + count])

    def show(self, state):
        """Sets this client's presence, None for none."""
        if len(json.dumps(state, ensure_ascii=False, separators=(",", ":")).encode()) > 4096:
            raise ValueError("a presence state has at most 4,096 bytes")
        self.presence = state
        if self.state == "LIVE":
            self._send_presence()

    # Making ops.

    def _editable(self):
        if not self.whole:
            raise PermissionError("the text has no ids: it can be read and not edited")
        return self.crdt.visible()

    def _max_run(self):
        if "runs" not in self.on or "runs" not in self.ask:
            return 1
        # A character takes 6 bytes at most, as \u0000 does; 10,000 are enough for the rest.
        return min(self.limits["max_run"], (self.limits["max_message_bytes"] - 10_000) // 6)

    def _delete(self, ids):
        cut, run = self._max_run(), None
        for lamport, replica in ids:
            if run and run["count"] < cut and run["id"] == [lamport - run["count"], replica]:
                run["count"] += 1
            else:
                self._make_del(run)
                run = {"type": "del", "id": [lamport, replica], "count": 1}
        self._make_del(run)

    def _make_del(self, run):
        if run:
            self._make(run if run["count"] > 1 else {"type": "del", "id": run["id"]})

    def _make(self, op):
        msg_id, self.next_msg = f"m-{self.next_msg}", self.next_msg + 1
        self.crdt.integrate(op)
        self.unconfirmed[msg_id] = op
        if self.state == "LIVE":
            self._send_op(msg_id, op)

    def _send_op(self, msg_id, op):
        message = {"type": "op", "doc_id": self.doc_id, "client_id": self.client_id}
        message |= {"client_msg_id": msg_id, "op": op}
        if "resume" in self.on:
            message["epoch"] = self.epoch
        self.sent_ops = True
        self.outbox.put_nowait(message)

    def _send_presence(self):
        if "presence" in self.on:
            message = {"type": "presence_update", "doc_id": self.doc_id, "client_id": self.client_id}
            self.outbox.put_nowait(message | {"state": self.presence})

    # Connections.

    async def _run(self):
        pause = self.first_pause
        try:
            while True:
                code = None
                with contextlib.suppress(OSError, InvalidHandshake, Rejoin):
                    # Straight to the server; messages of any size.
                    async with connect(self.url, max_size=None, proxy=None) as ws:
                        try:
                            await self._converse(ws)
                        except ConnectionClosed as end:
                            code = end.rcvd.code if end.rcvd else None
                        if self.was_live:
                            pause = self.first_pause
                if code in (1003, 1007) or (code in REFUSALS and not self.sent_ops):
                    raise Broken(f"closed with {code}, and no op was the reason")
                if code in REFUSALS:
                    self.suspect, self.refusals = True, self.refusals + 1
                    if self.refusals == 3:
                        raise Broken(f"closed with {code} for the third time")
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))
                pause = min(pause * 2, self.last_pause)
        except Exception as error:
            self.failed = error
            self._notify()

    async def _converse(self, ws):
        """One connection, from the hello to its end."""
        self.ws, self.outbox, self.sent_ops, self.was_live = ws, asyncio.Queue(), False, False
        hello = {"type": "hello", "doc_id": self.doc_id, "client_id": self.client_id}
        hello |= {"last_seen_server_seq": self._seen(), "capabilities": list(self.ask)}
        self.outbox.put_nowait(hello | ({"epoch": self.epoch} if self.epoch else {}))
        self.state = "GREETED"
        sender = asyncio.create_task(self._sender(ws, self.outbox))  # beside the reader: it never stops reading
        try:
            async for text in ws:
                self.frames.append("< " + text[:300])
                self._on_message(json.loads(text))
                self._notify()
        finally:
            self.state = "OFFLINE"
            self.others.clear()
            sender.cancel()
            self._notify()

    def _seen(self):
        return self.last if self.whole else 0  # who only reads has to be told the text anew

    async def _sender(self, ws, outbox):
        with contextlib.suppress(ConnectionClosed):  # the reader sees it too
            while True:
                text = json.dumps(await outbox.get(), ensure_ascii=False, separators=(",", ":"))
                self.frames.append("> " + text[:300])
                await self._send(ws, text)

    async def _send(self, ws, text):
        await ws.send(text)

    def _notify(self):
        self.changed.set()
        self.changed = asyncio.Event()

    def _on_message(self, message):
        handler = {
            "hello_ack": self._on_ack,
            "resync": self._on_resync,
            "op_echo": self._on_echo,
            "presence_snapshot": self._on_snapshot,
            "presence_update": self._on_presence,
        }.get(message["type"])
        if not handler or message["doc_id"] != self.doc_id:
            raise Broken(f"an unknown type or another document: {message}")
        handler(message)

    def _on_ack(self, ack):
        self.on = frozenset(ack.get("capabilities", ()))
        self.head, self.limits = ack["server_seq"], ack.get("limits")
        epoch = ack.get("epoch")
        if epoch and self.epoch:
            changed = epoch != self.epoch
        else:
            changed = self.head < self.last
        if changed:
            self.other_history, self.last = True, 0  # from now on only a resync will do
        self.epoch = epoch or self.epoch
        self.state = "CATCHING UP"
        if ack.get("sync") == "replay" and self.last == self.head:
            self._caught_up()

    def _on_resync(self, resync):
        seq = resync["server_seq"]
        if self.other_history:
            self.lost += self.unconfirmed.values()
            self.unconfirmed, self.crdt, self.other_history = {}, Crdt(), False
        if "state" in resync:
            self.crdt, self.whole = Crdt.seeded(resync["state"]), True
            if self.crdt.text() != resync["full_text"]:
                raise Broken("the state and the full_text of a resync differ")
            # An insert that is there has been accepted. (A delete can't be told from somebody else's.)
            for msg_id, op in list(self.unconfirmed.items()):
                if op["type"] == "ins" and self.crdt.knows(tuple(op["id"])):
                    self._confirm(msg_id)
                else:
                    self.crdt.integrate(op)
        elif self.whole and seq != self.last:
            # The elements end before this text. Its server may replay the next time, when L is not H.
            self.useless += 1
            if 0 < self.last and self.useless < 3:
                raise Rejoin
            self.whole = False
        self.last, self.shown = seq, resync["full_text"]
        self._caught_up()

    def _on_echo(self, echo):
        op, seq = echo["op"], echo["server_seq"]
        if seq > self.last:
            if seq - size(op) != self.last:
                self.gaps.append(f"seq {seq} of {size(op)} elements after {self.last}")
                self.last = 0
                raise Rejoin
            if self.whole:
                self.crdt.integrate(op)  # own ops are there already
            self.last = seq
        if echo["origin_client_id"] == self.client_id:
            own = self.unconfirmed.get(echo["client_msg_id"])
            # Its elements may come one by one: it is confirmed with the last.
            if own and op["id"][0] + size(op) == own["id"][0] + size(own):
                self._confirm(echo["client_msg_id"])
        if self.state == "CATCHING UP" and self.last >= self.head:
            self._caught_up()

    def _confirm(self, msg_id):
        del self.unconfirmed[msg_id]
        self.refusals = 0

    def _caught_up(self):
        self.state, self.was_live, self.useless = "LIVE", True, 0
        if self.suspect:
            if self.unconfirmed:
                self._take_out(next(iter(self.unconfirmed)))
            self.suspect = False
        for msg_id, op in list(self.unconfirmed.items()):
            if size(op) > 1 and "runs" not in self.on and msg_id in self.unconfirmed:
                self._take_out(msg_id)
        for msg_id, op in self.unconfirmed.items():
            self._send_op(msg_id, op)
        if self.presence is not None:
            self._send_presence()

    def _take_out(self, first):
        """Undoes an unaccepted op and what depends on it; other deletes are made anew."""
        gone, seen = set(), False
        self.state = "CATCHING UP"  # what is made here waits its turn
        for msg_id, op in list(self.unconfirmed.items()):
            seen = seen or msg_id == first
            ids = [id for id, _, _ in elements(op)]
            if op["type"] == "ins" and seen and (msg_id == first or tuple(op["parent_id"]) in gone):
                self.lost.append(self.unconfirmed.pop(msg_id))
                gone.update(ids)
            elif op["type"] == "del" and seen and (msg_id == first or gone.intersection(ids)):
                if self.suspect and msg_id == first:
                    raise Broken(f"the server refuses a delete: {op}")
                del self.unconfirmed[msg_id]
                self._delete([id for id in ids if id not in gone])
        self.crdt.remove(gone)
        self.state = "LIVE"

    def _on_snapshot(self, snapshot):
        self.others = {id: state for id, state in snapshot["states"].items() if id != self.client_id}

    def _on_presence(self, update):
        if update["state"] is None:
            self.others.pop(update["client_id"], None)
        elif update["client_id"] != self.client_id:
            self.others[update["client_id"]] = update["state"]


# The self-test.

KINDS = [PROFILES, (), *[(name,) for name in PROFILES], "wandering"]  # wandering: others at each connection
DEADLINE = 60  # seconds in which everything has to settle


class Disagreement(Exception):
    """What the self-test is there to find."""


def check(true, *words):
    if not true:
        raise Disagreement(" ".join(map(str, words)))


def in_any_order(ops):
    return sorted(json.dumps(op, sort_keys=True) for op in ops)


def test_vectors(folder, rng):
    """In order, shuffled, and with the state of a first part for a seed."""
    count = 0
    for path in sorted(folder.glob("*.json")):
        for vector in json.loads(path.read_text("utf-8"))["vectors"]:
            count, ops = count + 1, vector["ops"]
            orders = [ops] + [rng.sample(ops, len(ops)) for _ in range(10) if vector.get("any_order")]
            for order in orders:
                for seed_at in (0, rng.randint(0, len(order)), len(order)):
                    crdt = Crdt()
                    for i, op in enumerate(order + [None]):
                        if i == seed_at:
                            crdt = Crdt.seeded(crdt.state())
                        if op:
                            crdt.integrate(op)
                    name = f"{path.name}, {vector['name']}, seeded after {seed_at} of {order}:"
                    check(crdt.text() == vector["text"], name, "the text is", repr(crdt.text()))
                    waits = in_any_order(crdt.pending())
                    check(waits == in_any_order(vector.get("pending", [])), name, "there waits", waits)
                    if want := vector.get("state"):
                        check(crdt.state()["elements"] == want["elements"], name, "the state is", crdt.state())
                        check(Crdt.seeded(want).text() == vector["text"], name, "its state makes another text")
    check(count, "no vectors in", folder)
    return count


class Shaky(Client):
    """A client whose connection is cut at random points while `cutting` is set."""

    last_pause = 0.5

    def __init__(self, url, doc_id, client_id, kind, rng):
        super().__init__(url, doc_id, client_id, PROFILES if kind == "wandering" else kind)
        self.kind, self.rng, self.cutting, self.cuts = kind, rng, False, 0

    def _cut(self, ws, chance):
        if self.cutting and self.rng.random() < chance:
            self.cuts += 1
            self.first_pause = self.rng.choice((0, 0.05, 0.3))  # users type on meanwhile
            ws.transport.abort()
            return True

    def _make(self, op):
        super()._make(op)
        if self.cutting and self.state == "LIVE" and self.rng.random() < 0.02:
            # Sent again without need: the server has to give the old answers.
            for msg_id, op in self.unconfirmed.items():
                self._send_op(msg_id, op)

    async def _converse(self, ws):
        if self.kind == "wandering":
            # A run that was sent can't be sent again without `runs`.
            needed = {"runs"} if any(size(op) > 1 for op in self.unconfirmed.values()) else set()
            self.ask = tuple(p for p in PROFILES if p in needed or self.rng.random() < 0.5)
        await super()._converse(ws)

    def _seen(self):
        # A resync, as from a server that will not replay so many.
        return 0 if self.cutting and self.rng.random() < 0.1 else super()._seen()

    async def _send(self, ws, text):
        self._cut(ws, 0.004)
        await super()._send(ws, text)
        self._cut(ws, 0.004)

    def _on_message(self, message):
        if self._cut(self.ws, 0.001):
            raise Rejoin  # lost on its way
        super()._on_message(message)
        self._cut(self.ws, 0.001)


class User:
    """Types characters that nobody else types, and so can say what became of each."""

    def __init__(self, client, number, rng):
        self.client, self.rng, self.chunks, self.deleted = client, rng, [], set()
        # Half of them take two units of UTF-16, some are Hangul, which normalisation would take apart.
        self.stock = [chr(base + number * 0x1400 + i) for i in range(0x1400) for base in (0x3400, 0x20000)]
        self.stock.reverse()

    def chars(self, n):
        return "".join(self.stock.pop() for _ in range(min(n, len(self.stock))))

    async def work(self, end):
        while asyncio.get_running_loop().time() < end:
            await asyncio.sleep(self.rng.uniform(0, 0.15))
            if not self.client.whole:
                continue  # a text without ids
            text, dice = self.client.text(), self.rng.random()
            # Mostly at one of five places, so that all meet there.
            at = len(text) * self.rng.randint(0, 4) // 4 if dice < 0.8 else self.rng.randint(0, len(text))
            if self.rng.random() < min(0.3, len(text) / 1000):
                count = self.rng.randint(1, 12 if len(text) < 2000 else 300)
                self.deleted.update(text[at : at + count])
                self.client.delete(at, count)
            elif self.rng.random() < 0.3:
                long = 300 if "runs" in self.client.on else 30
                self.type(at, self.chars(self.rng.randint(2, long)))
            else:
                await self.type_slowly(at)
            if self.rng.random() < 0.2:
                self.client.show({"cursor": {"anchor_id": list(self.client.crdt.next[ROOT] or ROOT)}})

    def type(self, at, text):
        if text:
            self.chunks.append(text)
            self.client.insert(at, text)

    async def type_slowly(self, at):
        """A character at a time, each behind the one before, wherever the others have moved it."""
        text = self.chars(self.rng.randint(1, 10))
        for i, char in enumerate(text):
            if i:
                await asyncio.sleep(self.rng.uniform(0, 0.02))
                before = self.client.text().find(text[i - 1]) if self.client.whole else -1
                if before < 0:
                    self.stock += reversed(text[i:])
                    return
                at = before + 1
                self.chunks[-1] += char
                self.client.insert(at, char)
            else:
                self.type(at, char)


async def test_document(url, seed, n, seconds):
    """One document, a client of each kind; returns its users."""
    doc_id = f"peer-{seed}-{n}-{secrets.token_hex(4)}"
    users = []
    for number, kind in enumerate(KINDS):
        name = kind if isinstance(kind, str) else "all" if len(kind) == 4 else "+".join(kind) or "none"
        client = Shaky(url, doc_id, f"{name}-{n}", kind, random.Random(f"{seed} {n} {name} cuts"))
        users.append(User(client, number, random.Random(f"{seed} {n} {name}")))
    clients = [user.client for user in users]
    try:
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*[client.connect() for client in clients])
            # Without `state` nobody comes back from seq 0 to a text with ids: all wait for the first op.
            users[0].type(0, users[0].chars(1))
            await asyncio.gather(*[client.until(lambda c=client: c.last > 0) for client in clients])
        for client in clients:
            client.cutting = True
        end = asyncio.get_running_loop().time() + seconds
        await asyncio.gather(*[user.work(end) for user in users])
        for client in clients:
            client.cutting = False
        async with asyncio.timeout(DEADLINE):
            await asyncio.gather(*[settled(client) for client in clients])
            # Behind everything else comes one op more: who has seen it has seen all.
            last = next(user for user in users if user.client.whole)
            last.type(0, last.chars(1))
            await settled(last.client)
            barrier = last.client.last
            await asyncio.gather(*[client.until(lambda c=client: c.last >= barrier) for client in clients])
            check_typed(users, await fresh_join(url, doc_id))
            await test_presence(clients)
    except (Disagreement, Broken, TimeoutError, PermissionError) as error:
        for client in clients:
            title = f"-- {client.client_id}: {client.state}, last {client.last}, {client.unconfirmed}"
            print("\n".join([title, *client.frames]), file=sys.stderr)
        raise Disagreement(f"document {doc_id}: {error or 'not settled in time'}") from error
    finally:
        await leave(clients)
    return users


async def settled(client):
    await client.until(lambda: client.state == "LIVE" and not client.unconfirmed)


async def leave(clients):
    with contextlib.suppress(Exception):
        async with asyncio.timeout(5):
            await asyncio.gather(*[client.close() for client in clients], return_exceptions=True)


async def fresh_join(url, doc_id):
    """The full_text of a new client that has no profile."""
    reader = Client(url, doc_id, ask=())
    await reader.connect()
    await reader.close()
    return reader.shown


def check_typed(users, text):
    """The text against what the users have done, and each client's against the text."""
    for client in (user.client for user in users):
        check(not client.gaps, client.client_id, "missed echoes:", client.gaps)
        check(not client.lost, client.client_id, "has lost", client.lost)
    check(len(text) == len(set(text)), "doubled:", [c for c in text if text.count(c) > 1])
    typed = {char for user in users for chunk in user.chunks for char in chunk}
    wanted = typed - {char for user in users for char in user.deleted}
    check(wanted == set(text), "lost:", wanted - set(text), "; not wanted:", set(text) - wanted)
    place = {char: i for i, char in enumerate(text)}
    for user in users:
        client = user.client
        for chunk in user.chunks:
            places = [place[char] for char in chunk if char in place]
            check(places == sorted(places), client.client_id, "typed", chunk, "in another order")
        if client.whole:
            check(client.text() == text, client.client_id, "has another text than a fresh join")
            for other in users:
                own = sum(replica == other.client.client_id for _, replica in client.crdt.char)
                want = sum(map(len, other.chunks))
                check(own == want, client.client_id, f"has {own} elements of", other.client.client_id, "not", want)


async def test_presence(clients):
    """Everyone with the profile comes to know everyone's last state."""
    clients = [client for client in clients if "presence" in client.on]
    for client in clients:
        client.show({"name": client.client_id})
    want = {client.client_id: {"name": client.client_id} for client in clients}
    for client in clients:
        await client.until(lambda: client.others | {client.client_id: client.presence} == want)


async def test_refusal(url, ask):
    """The client makes a wrong op, and loses that and what depends on it, and nothing else."""
    doc_id = f"peer-refusal-{secrets.token_hex(4)}"
    client = Shaky(url, doc_id, "careless", ask, random.Random(0))
    client.first_pause = 0.01
    try:
        async with asyncio.timeout(DEADLINE):
            await client.connect()
            client.insert(0, "abc")
            await settled(client)
            client.insert(3, "d")
            wrong = [client.crdt.clock + 1, "somebody else"]
            client._make({"type": "ins", "parent_id": list(client.crdt.visible()[-1]), "id": wrong, "value": "?"})
            client.insert(5, "??")
            client.insert(0, "_")
            client.delete(3, 3)  # c, d and the wrong one
            await settled(client)
            text = await fresh_join(url, doc_id)
            check(text == client.text() == "_ab", f"after a refusal: {text}, {client.text()}")
            check("".join(op["value"] for op in client.lost) == "???", "after a refusal: lost", client.lost)
    finally:
        await leave([client])


async def test_long(url, ask):
    """A paste longer than one message may be, with characters that JSON escapes, and its delete."""
    doc_id = f"peer-long-{secrets.token_hex(4)}"
    client = Shaky(url, doc_id, "long", ask, random.Random(0))
    try:
        async with asyncio.timeout(DEADLINE):
            await client.connect()
            text = "a\0\"\r\n\u0301\u00e9\U0001f600\ufeff" * (20_000 if "runs" in client.on else 100)
            client.insert(0, text)
            client.delete(5, len(text) - 10)
            await settled(client)
            check(client.text() == await fresh_join(url, doc_id) == text[:5] + text[-5:], "a long paste is wrong")
    finally:
        await leave([client])


async def test(url, seed, seconds, documents):
    for ask in KINDS[:-1]:
        await test_refusal(url, ask)
        await test_long(url, ask)
    tests = [test_document(url, seed, n, seconds) for n in range(documents)]
    return [user for users in await asyncio.gather(*tests) for user in users]


def main():
    parser = argparse.ArgumentParser(description="Test this client against a server.")
    parser.add_argument("--url", required=True)
    parser.add_argument("--seconds", type=float, default=10, help="how long the users work")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--documents", type=int, default=3)
    parser.add_argument("--vectors", type=pathlib.Path, help="the folder of the vectors")
    args = parser.parse_args()
    vectors = args.vectors or pathlib.Path(__file__).resolve().parents[3] / "spec" / "vectors"
    try:
        count = test_vectors(vectors, random.Random(args.seed))
        users = asyncio.run(test(args.url, args.seed, args.seconds, args.documents))
    except (Disagreement, Broken, TimeoutError) as error:
        sys.exit(f"FAILED with seed {args.seed}: {error or 'no answer in time'}")
    clients = [user.client for user in users]
    print(
        f"ok: seed {args.seed}, {count} vectors, {args.documents} documents, {len(clients)} clients,"
        f" {sum(len(chunk) for user in users for chunk in user.chunks)} characters typed,"
        f" {sum(len(user.client.text()) for user in users[:: len(KINDS)])} left in the end,"
        f" {sum(c.cuts for c in clients)} cuts, {sum(not c.whole for c in clients)} clients left to read only"
    )


if __name__ == "__main__":
    main()
