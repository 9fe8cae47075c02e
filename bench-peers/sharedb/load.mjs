// A load of ShareDB clients, each with one edit under way: node load.mjs URL DOCS CLIENTS SECS
import ShareDB from "sharedb/lib/client/index.js";
import { type } from "ot-text-unicode";
import WebSocket from "ws";

ShareDB.types.register(type);
const [url, docs, clients, secs] = process.argv.slice(2);
const warmUp = 500;
const run = Math.random().toString(36).slice(2);
const latencies = [];
let echoes = 0, errors = 0, counting = false, ended = false;

function client(name) {
  return new Promise((joined, failed) => {
    const socket = new WebSocket(url);
    const doc = new ShareDB.Connection(socket).get("load", name);
    doc.on("error", () => { errors += 1; });
    doc.on("op", (op, isOwn) => { if (counting && !isOwn) echoes += 1; });
    const edit = () => {
      const from = performance.now();
      doc.submitOp(["a"], (error) => {
        if (error) { errors += 1; return; }
        if (counting) { latencies.push(performance.now() - from); echoes += 1; }
        if (!ended) edit();
      });
    };
    doc.subscribe((error) => {
      if (error) return failed(error);
      if (doc.type) return joined(edit);
      doc.create("", type.uri, (refused) => (refused ? failed(refused) : joined(edit)));
    });
  });
}

const all = [];
for (let doc = 0; doc < docs; doc++) {
  for (let one = 0; one < clients; one++) all.push(await client(`${run}-${doc}`));
}
for (const edit of all) edit();
setTimeout(() => {
  counting = true;
  const begin = performance.now();
  setTimeout(() => {
    counting = false;
    ended = true;
    const time = (performance.now() - begin) / 1000;
    latencies.sort((a, b) => a - b);
    const at = (part) => latencies[Math.floor(part * (latencies.length - 1))] ?? null;
    const own = { count: latencies.length, p50: at(0.5), p99: at(0.99), p99_9: at(0.999), max: at(1) };
    const figures = { ops_per_second: latencies.length / time, echoes_per_second: echoes / time, own, errors };
    console.log(JSON.stringify(figures));
    process.exit(0);
  }, secs * 1000);
}, warmUp);
