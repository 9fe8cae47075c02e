#!/usr/bin/env python3
"""The reference beside the null relay and other servers, in one run: medians of some rounds.

Each server runs pinned to the first processor and the load on it to the second. Build first
(`cargo build --release`, and `cargo build --profile release-lto -p collab-reference` for one more row), and
see install.sh for the peers; what is not there is left out.
Beside what went through, a line has the processor time that the server took for an op, which other
processes of the machine disturb less, and the most memory that it had.

For one table of idle connections: `--shapes 1x1000 --rate 1`.
"""

import argparse
import json
import os
import pathlib
import socket
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
BUILT = HERE.parent / "target" / "release"
NODE = HERE / "yjs/node_modules/node/bin/node"
WARM_UP = 0.5


def of_ours(command):
    """A server of the protocol, under the load of the suite."""
    def load(port, docs, clients, secs, rate):
        pace = ["--rate", str(rate)] if rate else []
        with tempfile.NamedTemporaryFile() as file:
            subprocess.run(
                [BUILT / "collab-conformance", "load", "--url", f"ws://127.0.0.1:{port}/ws",
                 "--docs", str(docs), "--clients", str(clients), "--secs", str(secs),
                 "--warm-up", str(WARM_UP), "--json", file.name, *pace],
                check=True, stdout=subprocess.DEVNULL, preexec_fn=lambda: pin(1))
            return json.load(file)
    return lambda port: [part.format(port=port) for part in command], load, [BUILT, pathlib.Path(command[0])]


def of_node(folder, command, *kind):
    def load(port, docs, clients, secs, rate):
        out = subprocess.run(
            [NODE, HERE / folder / "load.mjs", f"ws://127.0.0.1:{port}", str(docs), str(clients),
             str(secs), str(rate), *kind],
            check=True, stdout=subprocess.PIPE, preexec_fn=lambda: pin(1)).stdout
        return json.loads(out)
    needs = [HERE / folder / "node_modules", pathlib.Path(command[0])]
    return lambda port: [part.format(port=port) for part in command], load, needs


SERVERS = {
    "null relay": of_ours([str(BUILT / "collab-conformance"), "relay", "--port", "{port}"]),
    "reference": of_ours([str(BUILT / "collab-reference"), "--port", "{port}"]),
    "reference (LTO)": of_ours([str(BUILT.parent / "release-lto/collab-reference"), "--port", "{port}"]),
    "y-websocket": of_node("yjs", [str(NODE), str(HERE / "yjs/node_modules/y-websocket/bin/server.cjs")]),
    "Hocuspocus": of_node("yjs", [str(NODE), str(HERE / "yjs/hocuspocus.mjs")], "hocuspocus"),
    "y-sweet": of_node("yjs", [str(HERE / "y-sweet/bin/y-sweet"), "serve"], "y-sweet"),
    "ShareDB": of_node("sharedb", [str(NODE), str(HERE / "sharedb/server.mjs")]),
    "pycrdt": of_node("yjs", [str(HERE / "pycrdt/venv/bin/python"), str(HERE / "pycrdt/server.py"), "{port}"]),
}


def pin(processor):
    os.sched_setaffinity(0, {processor % os.cpu_count()})


def free_port():
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return one.getsockname()[1]


def processor_time(pid):
    """In seconds, of all threads."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total / 1e9


def memory_at_most(pid):
    """In bytes: what was resident at most so far."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) << 10


def play(server, docs, clients, secs, rate):
    command, load, _ = SERVERS[server]
    port = free_port()
    environment = os.environ | {"PORT": str(port), "HOST": "127.0.0.1", "RUST_LOG": "warn"}
    process = subprocess.Popen(command(port), env=environment, stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL, preexec_fn=lambda: pin(0))
    try:
        for _ in range(200):
            with socket.socket() as one:
                if one.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        before = processor_time(process.pid)
        figures = load(port, docs, clients, secs, rate)
        took = processor_time(process.pid) - before
        # What the warm-up took is taken off by its part of the time.
        ops = figures["ops_per_second"] * (secs + WARM_UP)
        figures["memory"] = memory_at_most(process.pid)
        figures["server_us"] = took / ops * 1e6 if ops else float("nan")
        return figures
    finally:
        process.terminate()
        process.wait()


def curve(played):
    """The medians of the rounds, for each part of all ops."""
    of_rounds = zip(*(figures["own"]["percentiles"] for figures in played))
    return [(of_round[0][0], statistics.median(millis or 0 for _, millis in of_round)) for of_round in of_rounds]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--secs", type=float, default=4)
    parser.add_argument("--rate", type=float, default=0,
                        help="ops a second of all clients together; 0: each has one op under way")
    parser.add_argument("--shapes", default="1x10,1x50,50x2", help="documents x clients of each")
    parser.add_argument("--json", help="write the curves of the latencies to this file, for bench/")
    parser.add_argument("--servers", default=",".join(SERVERS))
    arguments = parser.parse_args()
    asked = arguments.servers.split(",")
    for name in asked:
        if name not in SERVERS:
            sys.exit(f"there is no server {name}; there are: {', '.join(SERVERS)}")
    servers = [name for name in asked if all(path.exists() for path in SERVERS[name][2])]
    print("| documents x clients | server | ops/s | echoes/s | own p50 ms | own p99 ms | server µs/op | MiB at most |")
    print("|---|---|---|---|---|---|---|---|")
    curves = []
    for shape in arguments.shapes.split(","):
        docs, clients = map(int, shape.split("x"))
        rounds = {name: [] for name in servers}
        # Rounds go round the servers, so that a busy minute of the machine meets all of them.
        for _ in range(arguments.rounds):
            for name in servers:
                try:
                    rounds[name].append(play(name, docs, clients, arguments.secs, arguments.rate))
                except (subprocess.CalledProcessError, OSError, ValueError) as error:
                    print(f"{name}: {error}", file=sys.stderr)
        for name, played in rounds.items():
            if not played:
                continue
            def median(of):
                return statistics.median(of(figures) or 0 for figures in played)
            print(f"| {docs} x {clients} | {name} | {median(lambda f: f['ops_per_second']):,.0f} "
                  f"| {median(lambda f: f['echoes_per_second']):,.0f} "
                  f"| {median(lambda f: f['own']['p50']):.2f} | {median(lambda f: f['own']['p99']):.2f} "
                  f"| {median(lambda f: f['server_us']):.1f} | {median(lambda f: f['memory']) / 2**20:.0f} |",
                  flush=True)
        pace = f"{arguments.rate:g} ops a second" if arguments.rate else "one op under way each"
        title = f"{docs} x {clients} clients, {pace}"
        curves.append({"title": title, "servers": {name: curve(played) for name, played in rounds.items() if played}})
    if arguments.json:
        pathlib.Path(arguments.json).write_text(json.dumps(curves) + "\n")


if __name__ == "__main__":
    main()
