"""A collaborative text server: an independent server written from the specification alone, to show
that the suite raises no false alarm.

It implements the protocol (version 1) with all its profiles, and its CRDT, in memory. Its authors
have read the two documents of the specification, the message schemas and the vectors, and no other
server. It is meant to be plain rather than fast, and it is built in another way than most:

* The CRDT is a dict from an element's id to the sorted list of its children's ids. Nothing is ever
  "pending": a child of an element that is not there yet stands in a list that the walk from the
  root doesn't reach, and a delete that comes too early is an id in a set. So the text is a function
  of the set of ops, whatever their order, and there is no code that could get the order wrong. What
  still waits is what the walk did not reach, and is looked up only for a `state`.
* A document is the list of its echoes, each kept as the bytes of its WebSocket frame: fan-out,
  replay and the answers to resent ops all send those very bytes. An op of several elements is one
  of them; for those who have `runs` off, its single echoes are made while they are sent.
* A connection is two coroutines, one that reads and one that writes, with a queue between them.
  Everything that is sent goes through this queue, the sync and the close frame too. What stands in
  it are iterators of frames: of one frame, of a whole sync, of the pieces of a run.
* A presence state is kept as the text that came, without its white space, and never as numbers.

The `websockets` library does the opening handshake and takes the frames apart, through its
"Sans-I/O" layer. Its ready-made server would not do: it answers messages that are too big or not
UTF-8, and the client's own close, by itself and at once, ahead of the echoes that are still queued
here (`close.flush`), and it pings and closes with 1011. Under it are bare sockets and not asyncio's
streams: these hide how much waits for a client that doesn't read, and where a write fails, they
throw away what the client had sent before it went (`session.sent-before-close`).
"""

import argparse
import asyncio
import bisect
import itertools
import json
import math
import re
import signal
import socket
import struct
import traceback
import uuid
from collections import deque
from typing import NamedTuple

from websockets.datastructures import Headers
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.server import ServerProtocol

KIB, MIB = 1024, 1024 * 1024

PROFILES = ("resume", "state", "runs", "presence")
MAX_MESSAGE = MIB  # our choice between 64 KiB and 16 MiB
MAX_RUN = 10_000  # our choice between 1,024 and 65,536
MAX_PRESENCE = 4096  # bytes
CHUNK = 32 * KIB  # how much is read or written in one go: half of what a reader takes in a second
PAUSE_AT = 4 * MIB  # where this much waits for a client that reads, senders are made to wait
SLOW_AT = 8 * MIB  # where this much waits for a client, it is closed as slow
STALL = 1.0  # seconds: a client whose socket took no chunk for this long has stopped reading
FLUSH_SLOW, FLUSH = 6.0, 10.0  # seconds to get the queue and the close frame out: 1013, other codes
LINGER = 2.0  # seconds to go on reading after the close frame
HANDSHAKE = 10.0  # seconds for the HTTP request
CLOCK_SLACK = 0.2  # the client's clock for the hello starts a little later than ours

MAX_INTEGER = 2**53 - 1
ROOT = (0, "root")


write_json = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def text_frame(message, **written):
    """A message as the bytes of a WebSocket frame; `written` are fields that are JSON already."""
    text = write_json(message)
    for field, value in written.items():
        text = f'{text[:-1]},"{field}":{value}}}'
    return Frame(Opcode.TEXT, text.encode()).serialize(mask=False)


# ---------------------------------------------------------------------------------------------
# What a client sends
# ---------------------------------------------------------------------------------------------


class Violation(Exception):
    """A client broke a rule; the connection ends with this code and this reason."""

    def __init__(self, code, words):
        # The reason begins with "protocol: " and has at most 123 bytes; all our words are ASCII.
        self.code, self.reason = code, ("protocol: " + words)[:123]


def integer(digits):
    """Python refuses to read integers of thousands of digits; here they are just too big."""
    return int(digits) if len(digits) <= 17 else math.inf


def no_constant(name):
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_int=integer, parse_constant=no_constant)


class Number(str):
    """A number as it was written: in a state, 1.0 or twenty digits are passed on as they are."""


EXACT_DECODER = json.JSONDecoder(
    parse_int=Number, parse_float=Number, parse_constant=no_constant
)


def compact(value):
    """What EXACT_DECODER found, as JSON without white space or needless escapes."""
    if type(value) is Number:
        return value
    if type(value) is dict:
        return "{" + ",".join([f"{write_json(k)}:{compact(v)}" for k, v in value.items()]) + "}"
    if type(value) is list:
        return "[" + ",".join([compact(one) for one in value]) + "]"
    return write_json(value)


# The escapes of a JSON text from left to right: a surrogate pair, one \uXXXX, any other.
ESCAPE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u([0-9a-fA-F]{4})|\\."
)


def has_lone_surrogate(text):
    """Looks at the text and not at the values, so nothing hides behind a key that stands twice."""
    return any(one[1] and 0xD800 <= int(one[1], 16) <= 0xDFFF for one in ESCAPE.finditer(text))


def parse(data):
    """The bytes of a text message as a dict."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        raise Violation(1007, "not UTF-8") from None
    try:
        message = DECODER.decode(text)
    except RecursionError:
        raise Violation(1002, "nested too deep") from None
    except ValueError:
        raise Violation(1002, "not JSON") from None
    if "\\u" in text and has_lone_surrogate(text):
        raise Violation(1002, "a lone surrogate")
    if type(message) is not dict:
        raise Violation(1002, "not an object")
    return message


def need(condition, words):
    if not condition:
        raise Violation(1002, words)


def is_integer(value):
    return type(value) is int and 0 <= value <= MAX_INTEGER  # a bool is not of type int itself


def is_name(value):
    return type(value) is str and 1 <= len(value) <= 256  # str counts code points


def name(message, field):
    value = message.get(field)
    need(is_name(value), f"{field} is not a string of 1 to 256 characters")
    return value


def element_id(op, field, root_allowed=False):
    """An element id as a tuple, which Python compares as the specification wants."""
    value = op.get(field)
    need(type(value) is list and len(value) == 2, f"{field} is not an array of two items")
    need(is_integer(value[0]) and is_name(value[1]), f"{field} is not a lamport and a replica_id")
    found = (value[0], value[1])
    need(found[0] > 0 or (root_allowed and found == ROOT), f"{field} has the lamport 0")
    return found


def read_op(op, runs):
    """The defined fields of an op and nothing else: ("ins", parent, id, value) or
    ("del", id, count). Where the profile is off, `count` is a field that nobody knows."""
    need(type(op) is dict, "op is not an object")
    kind = op.get("type")
    need(kind in ("ins", "del"), "the type of the op is neither ins nor del")
    own = element_id(op, "id")
    if kind == "del":
        count = op.get("count", 1) if runs else 1
        need(is_integer(count) and count >= 1, "count is not an integer from 1 on")
        found = ("del", own, count)
    else:
        parent, value = element_id(op, "parent_id", root_allowed=True), op.get("value")
        need(type(value) is str and value, "value is not a string with a character")
        need(runs or len(value) == 1, "value is not one character")
        found = ("ins", parent, own, value)
    need(own[0] + size(found) - 1 <= MAX_INTEGER, "the last lamport is above 2^53-1")
    return found


def write_op(op):
    if op[0] == "ins":
        return {"type": "ins", "parent_id": op[1], "id": op[2], "value": op[3]}
    count = {"count": op[2]} if op[2] > 1 else {}
    return {"type": "del", "id": op[1]} | count


# Ops of several elements


def size(op):
    return op[2] if op[0] == "del" else len(op[3])


def part(op, start, end):
    """The op of some of the elements of an op, which are counted from 0."""
    if op[0] == "del":
        _, (lamport, replica), _ = op
        return ("del", (lamport + start, replica), end - start)
    _, parent, (lamport, replica), value = op
    if start > 0:
        parent = (lamport + start - 1, replica)
    return ("ins", parent, (lamport + start, replica), value[start:end])


def singles(op, start=0):
    return (part(op, at, at + 1) for at in range(start, size(op)))


def read_state(message, data):
    """The state of a presence_update as compact JSON, or None where it is null."""
    need("state" in message, "no state")
    if message["state"] is None:
        return None
    need(type(message["state"]) is dict, "state is neither an object nor null")
    try:
        return compact(EXACT_DECODER.decode(data.decode())["state"])
    except RecursionError:
        raise Violation(1002, "nested too deep") from None


# ---------------------------------------------------------------------------------------------
# Documents
# ---------------------------------------------------------------------------------------------


class Accepted(NamedTuple):
    """An op with its place in the document's order."""

    last: int  # the last of its seqs
    client_id: str
    msg_id: str
    op: tuple
    echo: bytes  # of the whole op


class Document:
    def __init__(self, doc_id, epoch):
        self.doc_id, self.epoch = doc_id, epoch
        self.members = set()  # the connections that get the echoes
        self.head = 0
        self.ops = []  # the accepted ops, in order
        self.of_message = {}  # (client_id, client_msg_id) -> the accepted op
        self.of_insert = {}  # id -> the accepted op that inserted it
        self.children = {}  # id -> ids of its children, ascending; the parent need not be there
        self.values = {}  # id -> character
        self.deleted = set()  # ids; the element need not be there
        self.resyncs = {}  # with a state or without -> frame, as of the head
        self.presence = {}  # client_id -> (the connection that it came from, state)

    # The text --------------------------------------------------------------------------------

    def integrate(self, op):
        for one in singles(op):
            if one[0] == "del":
                self.deleted.add(one[1])
            else:
                _, parent, own, value = one
                self.values[own] = value
                bisect.insort(self.children.setdefault(parent, []), own)

    def walk(self):
        """The ids of all elements that can be reached from the root, in document order. The
        greatest child lies on top of the stack and comes first."""
        stack = list(self.children.get(ROOT, ()))
        while stack:
            at = stack.pop()
            yield at
            stack.extend(self.children.get(at, ()))

    def text(self, ids):
        return "".join([self.values[at] for at in ids if at not in self.deleted])

    def state(self, ids):
        """A span goes on for as long as the lamports rise together with the places."""

        def span_of(numbered):
            place, (lamport, replica) = numbered
            return (lamport - place, replica, (lamport, replica) in self.deleted)

        elements = []
        for (_, _, deleted), numbered in itertools.groupby(enumerate(ids), span_of):
            span = [at for _, at in numbered]
            what = {"deleted": len(span)} if deleted else {"text": self.text(span)}
            elements.append({"id": span[0]} | what)
        reached = set(ids)
        pending = [
            ("ins", parent, own, self.values[own])
            for parent, children in self.children.items()
            for own in children
            if own not in reached
        ]
        pending += [("del", own, 1) for own in self.deleted - reached]
        return {"elements": elements, "pending": [write_op(op) for op in pending]}

    # Syncs and echoes ------------------------------------------------------------------------

    def resync(self, with_state):
        if with_state not in self.resyncs:
            ids = list(self.walk())
            message = {"type": "resync", "doc_id": self.doc_id, "server_seq": self.head}
            message["full_text"] = self.text(ids)
            if with_state:
                message["state"] = self.state(ids)
            self.resyncs[with_state] = text_frame(message)
        return self.resyncs[with_state]

    def echo(self, last, client_id, msg_id, op):
        return text_frame(
            {
                "type": "op_echo",
                "doc_id": self.doc_id,
                "server_seq": last,
                "origin_client_id": client_id,
                "client_msg_id": msg_id,
                "op": write_op(op),
            }
        )

    def echoes(self, accepted, runs, seen=0):
        """An op's echoes for one connection, without the elements up to the seq `seen`."""
        last, client_id, msg_id, op, echo = accepted
        first = last - size(op) + 1
        skip = max(seen + 1 - first, 0)
        if skip == 0 and (runs or first == last):
            yield echo
        elif runs:
            yield self.echo(last, client_id, msg_id, part(op, skip, size(op)))
        else:
            for seq, one in enumerate(singles(op, skip), first + skip):
                yield self.echo(seq, client_id, msg_id, one)

    def replay(self, seen, runs):
        """The ops above `seen`, up to the head as it is now. The first may begin below."""
        start = bisect.bisect_right(self.ops, seen, key=lambda accepted: accepted.last)
        # The list only grows, so these places hold the same ops whenever they are drawn.
        places = range(start, len(self.ops))
        return itertools.chain.from_iterable(
            self.echoes(self.ops[place], runs, seen) for place in places
        )

    def sync(self, last_seen, epoch, ack, profiles):
        """The ack and what comes with it, one frame after the other, as of now."""
        ack = {"type": "hello_ack", "doc_id": self.doc_id, "server_seq": self.head} | ack
        if "resume" in profiles:
            replay = epoch == self.epoch and 0 < last_seen <= self.head
            ack |= {"epoch": self.epoch, "sync": "replay" if replay else "resync"}
        else:
            replay = 0 < last_seen < self.head
        if replay:
            sync = self.replay(last_seen, "runs" in profiles)
        else:
            sync = [self.resync("state" in profiles)]
        snapshot = [self.snapshot()] if "presence" in profiles else []
        return itertools.chain([text_frame(ack)], sync, snapshot)

    # Ops -------------------------------------------------------------------------------------

    def submit(self, client_id, msg_id, op):
        """Returns the accepted op and whether it is a new one."""
        known = self.of_message.get((client_id, msg_id))
        if known is not None:
            if known.op != op:
                raise Violation(1008, "this client_msg_id was another op's")
            return known, False
        ids = []
        if op[0] == "ins":
            _, parent, own, _ = op
            if own[1] != client_id:
                raise Violation(1008, "the replica_id of an insert is not the client_id")
            if own[0] <= parent[0]:
                raise Violation(1008, "the lamport of an insert is not above its parent's")
            known = self.of_insert.get(own)
            if known is not None and known.op == op:
                return known, False
            ids = [one[2] for one in singles(op)]
            if any(one in self.of_insert for one in ids):
                raise Violation(1008, "an id is that of another insert")
        last = self.head + size(op)
        new = Accepted(last, client_id, msg_id, op, self.echo(last, client_id, msg_id, op))
        self.integrate(op)
        self.head = last
        self.ops.append(new)
        self.of_message[client_id, msg_id] = new
        self.of_insert.update(dict.fromkeys(ids, new))
        self.resyncs.clear()
        return new, True

    # Presence --------------------------------------------------------------------------------

    def snapshot(self):
        states = [f"{write_json(of)}:{state}" for of, (_, state) in self.presence.items()]
        message = {"type": "presence_snapshot", "doc_id": self.doc_id}
        return text_frame(message, states="{" + ",".join(states) + "}")

    def show(self, origin, state):
        """Keeps a connection's state, or none for None, and passes it on."""
        if state is None:
            self.presence.pop(origin.client_id, None)
        else:
            self.presence[origin.client_id] = (origin, state)
        message = {"type": "presence_update", "doc_id": self.doc_id}
        message["client_id"] = origin.client_id
        frame = text_frame(message, state="null" if state is None else state)
        for one in self.members:
            if one is not origin and "presence" in one.profiles:
                one.push_presence(origin.client_id, frame)

    def leave(self, member):
        """Once for each connection. A state that a newer connection has given stays."""
        self.members.remove(member)
        origin, _ = self.presence.get(member.client_id, (None, None))
        if origin is member:
            self.show(member, None)


# ---------------------------------------------------------------------------------------------
# Connections
# ---------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        deflate = ServerPerMessageDeflateFactory()  # for those who offer it, as browsers do
        self.wire = ServerProtocol(max_size=server.max_message, extensions=[deflate])
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self.run())
        self.reading = None
        self.doc = self.client_id = None
        self.profiles = ()
        self.opcode, self.message = None, bytearray()  # the message whose frames are coming in
        self.pongs = deque()
        self.queue = deque()  # iterators of frames, each with the bytes that it counts for
        self.current = (iter(()), 0)  # what is drawn at present; it has left the queue
        self.presence = {}  # client_id -> the newest update that waits; its place is in the queue
        self.waiting = 0  # bytes in pongs and queue, and of these in the write under way
        self.broken = False  # the client can't be written to any more, perhaps still be read from
        self.progress = 0.0  # when the socket last took a chunk
        self.news = asyncio.Event()  # for the writing coroutine
        self.close_frame = None  # set once; from then on nothing more is handled or queued
        self.client_done = asyncio.Event()  # the client closed, or its end of TCP did
        self.hello_timer = self.flush_timer = None

    # The opening handshake -------------------------------------------------------------------

    def respond(self, request):
        path = request.path.partition("?")[0]
        if path == "/ws":
            return self.wire.accept(request)
        if path == "/health" and request.method == "GET":
            body = b'{"status":"ok"}'
            headers = Headers([("Content-Type", "application/json"), ("Connection", "close")])
            headers["Content-Length"] = str(len(body))
            return Response(200, "OK", headers, body)
        return self.wire.reject(404, "Not found.\n")

    async def handshake(self):
        """Returns the frames that came along with the request, or None where it was no upgrade."""
        events = []
        while not events and not self.wire.close_expected():
            data = await self.receive()
            if not data:
                return None
            self.wire.receive_data(data)
            events = self.wire.events_received()
        if events:
            response = self.respond(events[0])
            self.wire.send_response(response)
        await self.loop.sock_sendall(self.sock, b"".join(self.wire.data_to_send()))
        return events[1:] if events and response.status_code == 101 else None

    async def run(self):
        tasks = []
        try:
            async with asyncio.timeout(HANDSHAKE):
                frames = await self.handshake()
            if frames is None:
                return
            self.hello_timer = self.loop.call_later(
                self.server.hello_timeout + CLOCK_SLACK,
                lambda: self.close(1002, "protocol: no hello in time"),
            )
            self.reading = asyncio.create_task(self.read(frames))
            writing = asyncio.create_task(self.write())
            tasks = [self.reading, writing]
            await asyncio.wait([self.reading])
            self.leave()
            self.client_done.set()
            if self.close_frame:
                await asyncio.wait([writing])
        except OSError:
            pass
        finally:
            self.leave()
            for timer in (self.hello_timer, self.flush_timer):
                if timer:
                    timer.cancel()
            for task in tasks:
                task.cancel()
            for result in await asyncio.gather(*tasks, return_exceptions=True):
                if isinstance(result, Exception):  # a bug of ours; the others go on
                    traceback.print_exception(result)
            self.sock.close()

    def abort(self):
        """Ends TCP at once, though the peer takes nothing: no close frame, no end of the stream."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.task.cancel()

    # Reading ---------------------------------------------------------------------------------

    async def receive(self):
        try:
            return await self.loop.sock_recv(self.sock, CHUNK)
        except OSError:
            return b""

    async def read(self, frames):
        """Handles frames until the connection ends; after a violation it reads and drops them."""
        while True:
            for frame in frames:
                while self.must_pause():
                    await asyncio.sleep(0.02)
                if self.close_frame is None:
                    try:
                        self.take_frame(frame)
                    except Violation as violation:
                        self.close(violation.code, violation.reason)
                elif frame.opcode is Opcode.CLOSE:
                    self.client_done.set()
            failed = self.wire.close_sent
            if failed and self.close_frame is None:  # the library found a broken frame
                if self.wire.close_rcvd:  # it takes a close amid a message for broken; we don't
                    self.client_closed()
                elif failed.code in (1007, 1009):
                    self.close(failed.code, failed.reason[:100])
                else:
                    self.close(1002, "protocol: broken frame: " + failed.reason[:80])
            self.wire.data_to_send()  # its own pongs and close frames: they would overtake ours
            if frames or self.close_frame:  # a long message is read in one go, if it is there
                await asyncio.sleep(0)  # nobody else runs in receive() where data is there already
            data = await self.receive()
            if not data:
                return
            self.wire.receive_data(data)
            frames = self.wire.events_received()

    def must_pause(self):
        """Whether this client's next message has to wait for clients that read: for itself, or for
        others that do read but not as fast as it sends. Nobody waits for one that has stopped."""
        if self.doc is None or self.close_frame or self.broken:
            return False
        if self.waiting > PAUSE_AT:
            return True
        since = self.loop.time() - STALL
        return any(one.waiting > PAUSE_AT and one.progress > since for one in self.doc.members)

    def take_frame(self, frame):
        if frame.opcode is Opcode.PING:
            pong = Frame(Opcode.PONG, bytes(frame.data)).serialize(mask=False)
            self.push(self.pongs, pong, len(pong))
        elif frame.opcode is Opcode.CLOSE:
            self.client_closed()
        elif frame.opcode is not Opcode.PONG:
            if frame.opcode is not Opcode.CONT:
                self.opcode = frame.opcode
            self.message += frame.data
            if frame.fin:
                data, self.message = self.message, bytearray()
                self.take_message(data)

    def take_message(self, data):
        if self.opcode is Opcode.BINARY:
            raise Violation(1003, "a binary message")
        message = parse(data)
        take = {"hello": self.take_hello, "op": self.take_op}
        if "presence" in self.profiles:
            take["presence_update"] = self.take_presence
        kind = message.get("type")
        need(type(kind) is str and kind in take, "this type of message is unknown")
        take[kind](message, data)

    def take_hello(self, message, _):
        doc_id, client_id = name(message, "doc_id"), name(message, "client_id")
        last_seen = message.get("last_seen_server_seq", 0)
        need(is_integer(last_seen), "last_seen_server_seq is not an integer from 0 to 2^53-1")
        asked = message.get("capabilities")
        asked = asked if type(asked) is list else None
        profiles = [one for one in self.server.profiles if asked and one in asked]
        epoch = None
        if "resume" in profiles and "epoch" in message:
            epoch = name(message, "epoch")
        if self.doc is not None:
            raise Violation(1003, "a second hello")
        self.hello_timer.cancel()
        self.client_id, self.profiles = client_id, profiles
        ack = {}
        if self.server.profiles and asked is not None:
            ack["capabilities"] = profiles
        if "runs" in profiles:
            limits = {"max_run": self.server.max_run}
            ack["limits"] = limits | {"max_message_bytes": self.server.max_message}
        self.doc = self.server.document(doc_id)
        self.push(self.queue, (self.doc.sync(last_seen, epoch, ack, profiles), 0), 0)
        self.doc.members.add(self)

    def take_op(self, message, _):
        doc_id, client_id = name(message, "doc_id"), name(message, "client_id")
        msg_id = name(message, "client_msg_id")
        op = read_op(message.get("op"), "runs" in self.profiles)
        has_epoch = "resume" in self.profiles and "epoch" in message
        epoch = name(message, "epoch") if has_epoch else None
        self.check_names(doc_id, client_id)
        if size(op) > 1 and size(op) > self.server.max_run:
            raise Violation(1009, "an op of more than max_run elements")
        if has_epoch and epoch != self.doc.epoch:
            raise Violation(1008, "an op of another epoch")
        accepted, is_new = self.doc.submit(client_id, msg_id, op)
        for one in tuple(self.doc.members) if is_new else (self,):
            # The single echoes of a run count together as much as its one echo.
            frames = self.doc.echoes(accepted, "runs" in one.profiles)
            one.push(one.queue, (frames, len(accepted.echo)), len(accepted.echo))

    def take_presence(self, message, data):
        doc_id, client_id = name(message, "doc_id"), name(message, "client_id")
        state = read_state(message, data)
        self.check_names(doc_id, client_id)
        if state is not None and len(state.encode()) > MAX_PRESENCE:
            raise Violation(1009, "a state of more than 4,096 bytes")
        self.doc.show(self, state)

    def check_names(self, doc_id, client_id):
        need(self.doc is not None, "the first message is not a hello")
        if doc_id != self.doc.doc_id:
            raise Violation(1008, "the doc_id is not that of the hello")
        if client_id != self.client_id:
            raise Violation(1008, "the client_id is not that of the hello")

    # Writing ---------------------------------------------------------------------------------

    def push(self, queue, what, counts):
        if self.close_frame is None and not self.broken:
            queue.append(what)
            self.waiting += counts
            self.news.set()
            if self.waiting > SLOW_AT:
                self.close(1013, "too slow")

    def push_presence(self, client_id, frame):
        """However many updates of a client wait, they have one place in the queue, and count for
        nothing: presence makes nobody slow."""
        if client_id not in self.presence:
            self.push(self.queue, (self.newest_presence(client_id), 0), 0)
        self.presence[client_id] = frame

    def newest_presence(self, client_id):
        yield self.presence.pop(client_id)  # runs when it is drawn

    def draw(self):
        """The next bytes to send, and how many bytes no longer wait once they are sent."""
        chunks, size, counted = [], 0, 0
        while size < CHUNK:
            frames, counts = self.current
            if self.pongs:
                frame = self.pongs.popleft()
                counted += len(frame)
            elif (frame := next(frames, None)) is None:
                counted += counts
                self.current = (iter(()), 0)
                if not self.queue:
                    break
                self.current = self.queue.popleft()
                continue
            chunks.append(frame)
            size += len(frame)
        return b"".join(chunks), counted

    async def send(self, data):
        data = memoryview(data)
        for start in range(0, len(data), CHUNK):
            self.progress = self.loop.time()
            await self.loop.sock_sendall(self.sock, data[start : start + CHUNK])
            await asyncio.sleep(0)
        self.progress = self.loop.time()

    async def write(self):
        """Sends the pongs, the sync and the queue, and at last the close frame."""
        try:
            while True:
                self.news.clear()
                data, counted = self.draw()
                if data:
                    await self.send(data)
                self.waiting -= counted
                if not data:
                    if self.close_frame:
                        break
                    await self.news.wait()
            await self.send(self.close_frame)
            self.flush_timer.cancel()
            if not self.client_done.is_set():
                self.sock.shutdown(socket.SHUT_WR)
                async with asyncio.timeout(LINGER):
                    await self.client_done.wait()
        except OSError:  # a TimeoutError is one too
            self.broken = True
        finally:
            if self.close_frame:
                self.reading.cancel()

    def close(self, code, reason):
        """Leaves the document and puts the close frame behind all that is queued."""
        if self.close_frame is None:
            self.leave()
            self.close_frame = Frame(Opcode.CLOSE, Close(code, reason).serialize()).serialize(
                mask=False
            )
            self.flush_timer = self.loop.call_later(
                FLUSH_SLOW if code == 1013 else FLUSH, self.abort
            )
            self.hello_timer.cancel()
            self.news.set()

    def client_closed(self):
        self.client_done.set()
        code = self.wire.close_rcvd.code
        self.close(code if code in (1000, 1001) else 1000, "")

    def leave(self):
        if self.doc is not None and self in self.doc.members:
            self.doc.leave(self)
            self.server.forget_if_unused(self.doc)


# ---------------------------------------------------------------------------------------------
# The server
# ---------------------------------------------------------------------------------------------


class Server:
    def __init__(self, profiles, hello_timeout, max_run, max_message):
        self.profiles, self.hello_timeout = profiles, hello_timeout
        self.max_run, self.max_message = max_run, max_message
        self.documents = {}
        self.connections = set()
        self.life = uuid.uuid4()

    def document(self, doc_id):
        """The epoch is the same for a document that comes back after it was forgotten, and another
        one once the server has started anew."""
        if doc_id not in self.documents:
            self.documents[doc_id] = Document(doc_id, str(uuid.uuid5(self.life, doc_id)))
        return self.documents[doc_id]

    def forget_if_unused(self, doc):
        """A document that was opened and never written in leaves nothing behind."""
        if not doc.members and not doc.ops:
            self.documents.pop(doc.doc_id, None)

    async def accept(self, listener):
        loop = asyncio.get_running_loop()
        while True:
            try:
                sock, _ = await loop.sock_accept(listener)
            except OSError:  # for example too many open files
                await asyncio.sleep(0.1)
                continue
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection = Connection(self, sock)
            self.connections.add(connection)
            connection.task.add_done_callback(
                lambda _, connection=connection: self.connections.discard(connection)
            )

    async def serve(self, port):
        loop = asyncio.get_running_loop()
        listener = socket.create_server(("127.0.0.1", port), backlog=1024)
        listener.setblocking(False)
        port = listener.getsockname()[1]
        print(f"listening on ws://127.0.0.1:{port}/ws", flush=True)
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        accepting = asyncio.create_task(self.accept(listener))
        await stop.wait()
        accepting.cancel()
        for connection in tuple(self.connections):
            if connection.hello_timer:  # else it is still plain HTTP
                connection.close(1001, "shutdown")
        if self.connections:
            await asyncio.wait([one.task for one in self.connections], timeout=LINGER + 1)


def profile_names(text):
    """As in "resume,state"; "core" is always there and names no profile of its own."""
    names = [one for one in text.split(",") if one != "core"]
    for one in names:
        if one not in PROFILES:
            raise argparse.ArgumentTypeError(f"no such profile: {one}")
    return names


def main():
    options = argparse.ArgumentParser(description="An independent server of the protocol.")
    options.add_argument("--port", type=int, default=0, help="0 for any free one")
    options.add_argument(
        "--profiles",
        type=profile_names,
        default=list(PROFILES),
        help='the profiles to offer, with commas between them, or "core" for none (all)',
    )
    options.add_argument(
        "--hello-timeout", type=float, default=5.0, help="seconds to wait for a hello (5 to 60)"
    )
    options.add_argument(
        "--max-run", type=int, default=MAX_RUN, help="elements of an op (1024 to 65536)"
    )
    options.add_argument(
        "--max-message",
        type=int,
        default=MAX_MESSAGE,
        help="bytes of a message (65536 to 16777216)",
    )
    chosen = options.parse_args()
    server = Server(chosen.profiles, chosen.hello_timeout, chosen.max_run, chosen.max_message)
    asyncio.run(server.serve(chosen.port))


if __name__ == "__main__":
    main()
