"""Writes what goes through mitmproxy as the lines that `collab-conformance verify` reads."""

import base64
import json
import os
import time

lines = open(os.environ["CAPTURE"], "a", buffering=1)


def write(flow, by_client, kind, **fields):
    if flow.request.path.split("?")[0] == "/ws":
        sender = "client" if by_client else "server"
        at_us = time.time_ns() // 1000
        line = {"at_us": at_us, "connection": flow.id, "from": sender, "kind": kind, **fields}
        print(json.dumps(line), file=lines)


def websocket_start(flow):
    write(flow, True, "open")


def websocket_message(flow):
    message = flow.websocket.messages[-1]
    if message.is_text:
        write(flow, message.from_client, "text", content=message.text)
    else:
        data = base64.b64encode(message.content).decode()
        write(flow, message.from_client, "binary", base64=data)


def websocket_end(flow):
    end = flow.websocket
    write(flow, end.closed_by_client, "close", code=end.close_code, reason=end.close_reason)
    write(flow, end.closed_by_client, "end")
