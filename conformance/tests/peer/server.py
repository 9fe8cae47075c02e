"""A collaborative text server: an independent server written from the specification alone, to show
that the suite raises no false alarm.

It implements the `core` profile of the protocol (version 1) and its CRDT, in memory, and nothing
more. Its author has read the two documents of the specification and the message schemas, and no
other server. It is meant to be plain rather than fast, and it is built in another way than most:

* The CRDT is a dict from an element's id to the sorted list of its children's ids. Nothing is ever
  "pending": a child of an element that is not there yet stands in a list that the walk from the
  root doesn't reach, and a delete that comes too early is an id in a set. So the text is a function
  of the set of ops, whatever their order, and there is no code that could get the order wrong.
* A document is the list of its echoes, each kept as the bytes of its WebSocket frame: fan-out,
  replay and the answers to resent ops all send those very bytes.
* A connection is two coroutines, one that reads and one that writes, with a queue between them.
  Everything that is sent goes through this queue, the close frame too.

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
from collections import deque

from websockets.datastructures import Headers
from websockets.frames import Close, Frame, Opcode
from websockets.http11 import Response
from websockets.server import ServerProtocol

KIB, MIB = 1024, 1024 * 1024

MAX_MESSAGE = MIB  # our choice between 64 KiB and 16 MiB
CHUNK = 64 * KIB  # how much is read or written in one go
PAUSE_AT = 4 * MIB  # where this much waits for a client that reads, senders are made to wait
SLOW_AT = 8 * MIB  # where this much waits for a client, it is closed as slow
STALL = 1.0  # seconds: a client whose socket took no chunk for this long has stopped reading
FLUSH_SLOW, FLUSH = 6.0, 10.0  # seconds to get the queue and the close frame out: 1013, other codes
LINGER = 2.0  # seconds to go on reading after the close frame
HANDSHAKE = 10.0  # seconds for the HTTP request
CLOCK_SLACK = 0.2  # the client's clock for the hello starts a little later than ours

MAX_INTEGER = 2**53 - 1
ROOT = (0, "root")


def text_frame(message):
    """A message as the bytes of a WebSocket frame."""
    payload = json.dumps(message, ensure_ascii=False, separators=(",", ":")).encode()
    return Frame(Opcode.TEXT, payload).serialize(mask=False)


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


def read_op(op):
    """The defined fields of an op and nothing else: ("ins", parent, id, value) or ("del", id)."""
    need(type(op) is dict, "op is not an object")
    kind = op.get("type")
    if kind == "del":
        return ("del", element_id(op, "id"))
    need(kind == "ins", "the type of the op is neither ins nor del")
    parent, own = element_id(op, "parent_id", root_allowed=True), element_id(op, "id")
    value = op.get("value")
    need(type(value) is str and len(value) == 1, "value is not one character")
    return ("ins", parent, own, value)


def write_op(op):
    if op[0] == "del":
        return {"type": "del", "id": op[1]}
    return {"type": "ins", "parent_id": op[1], "id": op[2], "value": op[3]}


# ---------------------------------------------------------------------------------------------
# Documents
# ---------------------------------------------------------------------------------------------


class Document:
    def __init__(self, doc_id):
        self.doc_id = doc_id
        self.members = set()  # the connections that get the echoes
        self.ops = []  # the accepted ops; the op with seq n stands at n - 1
        self.echoes = []  # their echoes, in the same places
        self.seq_of_message = {}  # (client_id, client_msg_id) -> seq
        self.seq_of_insert = {}  # id -> seq
        self.children = {}  # id -> ids of its children, ascending; the parent need not be there
        self.values = {}  # id -> character
        self.deleted = set()  # ids; the element need not be there
        self.last_resync = (None, b"")

    @property
    def head(self):
        return len(self.ops)

    def integrate(self, op):
        if op[0] == "del":
            self.deleted.add(op[1])
        else:
            _, parent, own, value = op
            self.values[own] = value
            bisect.insort(self.children.setdefault(parent, []), own)

    def text(self):
        """The walk from the root. The greatest child lies on top of the stack and comes first."""
        found, stack = [], [ROOT]
        while stack:
            at = stack.pop()
            if at not in self.deleted:
                found.append(self.values.get(at, ""))  # the root has no character
            stack.extend(self.children.get(at, ()))
        return "".join(found)

    def resync(self):
        if self.last_resync[0] != self.head:
            message = {"type": "resync", "doc_id": self.doc_id, "server_seq": self.head}
            self.last_resync = (self.head, text_frame(message | {"full_text": self.text()}))
        return self.last_resync[1]

    def sync(self, last_seen):
        """The ack and what comes with it, one frame after the other, as of now."""
        head = self.head
        ack = text_frame({"type": "hello_ack", "doc_id": self.doc_id, "server_seq": head})
        if 0 < last_seen < head:
            # The list only grows, so these places hold the same echoes whenever they are drawn.
            return itertools.chain([ack], map(self.echoes.__getitem__, range(last_seen, head)))
        return iter([ack, self.resync()])

    def submit(self, client_id, msg_id, op):
        """Returns the echo and whether the op is a new one."""
        seq = self.seq_of_message.get((client_id, msg_id))
        if seq is not None:
            if self.ops[seq - 1] != op:
                raise Violation(1008, "this client_msg_id was another op's")
            return self.echoes[seq - 1], False
        if op[0] == "ins":
            _, parent, own, _ = op
            if own[1] != client_id:
                raise Violation(1008, "the replica_id of an insert is not the client_id")
            if own[0] <= parent[0]:
                raise Violation(1008, "the lamport of an insert is not above its parent's")
            seq = self.seq_of_insert.get(own)
            if seq is not None:
                if self.ops[seq - 1] != op:
                    raise Violation(1008, "the id is that of another insert")
                return self.echoes[seq - 1], False
        echo = text_frame(
            {
                "type": "op_echo",
                "doc_id": self.doc_id,
                "server_seq": self.head + 1,
                "origin_client_id": client_id,
                "client_msg_id": msg_id,
                "op": write_op(op),
            }
        )
        self.integrate(op)
        self.ops.append(op)
        self.echoes.append(echo)
        self.seq_of_message[client_id, msg_id] = self.head
        if op[0] == "ins":
            self.seq_of_insert[op[2]] = self.head
        return echo, True


# ---------------------------------------------------------------------------------------------
# Connections
# ---------------------------------------------------------------------------------------------


class Connection:
    def __init__(self, server, sock):
        self.server, self.sock = server, sock
        self.wire = ServerProtocol(max_size=MAX_MESSAGE)
        self.loop = asyncio.get_running_loop()
        self.task = asyncio.create_task(self.run())
        self.reading = None
        self.doc = self.client_id = None
        self.opcode, self.message = None, bytearray()  # the message whose frames are coming in
        self.pongs = deque()
        self.sync = iter(())  # drawn before the queue, and not counted as waiting
        self.queue = deque()
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
                if self.close_frame is None:
                    try:
                        self.take_frame(frame)
                    except Violation as violation:
                        self.close(violation.code, violation.reason)
                elif frame.opcode is Opcode.CLOSE:
                    self.client_done.set()
                while self.must_pause():
                    await asyncio.sleep(0.02)
            failed = self.wire.close_sent
            if failed and self.close_frame is None:  # the library found a broken frame
                if self.wire.close_rcvd:  # it takes a close amid a message for broken; we don't
                    self.client_closed()
                elif failed.code in (1007, 1009):
                    self.close(failed.code, failed.reason[:100])
                else:
                    self.close(1002, "protocol: broken frame: " + failed.reason[:80])
            self.wire.data_to_send()  # its own pongs and close frames: they would overtake ours
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
            self.push(Frame(Opcode.PONG, bytes(frame.data)).serialize(mask=False), self.pongs)
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
        kind = message.get("type")
        need(kind in ("hello", "op"), "the type is not hello or op")
        doc_id, client_id = name(message, "doc_id"), name(message, "client_id")
        if kind == "hello":
            last_seen = message.get("last_seen_server_seq", 0)
            need(is_integer(last_seen), "last_seen_server_seq is not an integer from 0 to 2^53-1")
            if self.doc is not None:
                raise Violation(1003, "a second hello")
            self.hello_timer.cancel()
            self.client_id = client_id
            self.doc = self.server.document(doc_id)
            self.sync = self.doc.sync(last_seen)
            self.doc.members.add(self)
            self.news.set()
            return
        msg_id, op = name(message, "client_msg_id"), read_op(message.get("op"))
        need(self.doc is not None, "the first message is not a hello")
        if doc_id != self.doc.doc_id:
            raise Violation(1008, "the doc_id is not that of the hello")
        if client_id != self.client_id:
            raise Violation(1008, "the client_id is not that of the hello")
        echo, is_new = self.doc.submit(client_id, msg_id, op)
        for one in tuple(self.doc.members) if is_new else (self,):
            one.push(echo, one.queue)

    # Writing ---------------------------------------------------------------------------------

    def push(self, frame, queue):
        if self.close_frame is None and not self.broken:
            queue.append(frame)
            self.waiting += len(frame)
            self.news.set()
            if self.waiting > SLOW_AT:
                self.close(1013, "too slow")

    def draw(self):
        """The next bytes to send, and how many of them count as waiting."""
        chunks, size, counted = [], 0, 0
        while size < CHUNK:
            if self.pongs:
                frame = self.pongs.popleft()
                counted += len(frame)
            elif (frame := next(self.sync, None)) is None:
                if not self.queue:
                    break
                frame = self.queue.popleft()
                counted += len(frame)
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
                elif self.close_frame:
                    break
                else:
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
            self.doc.members.remove(self)
            self.server.forget_if_unused(self.doc)


# ---------------------------------------------------------------------------------------------
# The server
# ---------------------------------------------------------------------------------------------


class Server:
    def __init__(self, hello_timeout):
        self.hello_timeout = hello_timeout
        self.documents = {}
        self.connections = set()

    def document(self, doc_id):
        if doc_id not in self.documents:
            self.documents[doc_id] = Document(doc_id)
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


def main():
    options = argparse.ArgumentParser(description="An independent server of the core profile.")
    options.add_argument("--port", type=int, default=0, help="0 for any free one")
    options.add_argument(
        "--hello-timeout", type=float, default=5.0, help="seconds to wait for a hello (5 to 60)"
    )
    chosen = options.parse_args()
    asyncio.run(Server(chosen.hello_timeout).serve(chosen.port))


if __name__ == "__main__":
    main()
