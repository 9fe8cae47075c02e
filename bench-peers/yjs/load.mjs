// A load of Yjs clients, each with one edit under way: node load.mjs URL DOCS CLIENTS SECS [hocuspocus]
//
// Each client types into a document of its own making and sends the update. What comes is counted, not
// applied, so the load is lighter than real clients are.
import WebSocket from "ws";
import * as Y from "yjs";
import * as encoding from "lib0/encoding";

const [url, docs, clients, secs, kind] = process.argv.slice(2);
const named = kind === "hocuspocus";
const warmUp = 500;
const run = Math.random().toString(36).slice(2);
const latencies = [];
let echoes = 0, errors = 0, counting = false, ended = false;

function message(name, write) {
  const encoder = encoding.createEncoder();
  if (named) encoding.writeVarString(encoder, name);
  write(encoder);
  return Buffer.from(encoding.toUint8Array(encoder));
}

function client(name) {
  return new Promise((joined) => {
    const socket = new WebSocket(named ? url : `${url}/${name}`);
    const doc = new Y.Doc(), text = doc.getText("text");
    let sent, from, waiting = false;
    doc.on("update", (update) => {
      sent = Buffer.from(update);
      from = performance.now();
      waiting = true;
      socket.send(message(name, (encoder) => {
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarUint(encoder, 2);
        encoding.writeVarUint8Array(encoder, update);
      }));
    });
    const type = () => text.insert(text.length, "a");
    socket.on("open", () => {
      if (named) {
        socket.send(message(name, (encoder) => {
          encoding.writeVarUint(encoder, 2);
          encoding.writeVarUint(encoder, 0);
          encoding.writeVarString(encoder, "");
        }));
      }
      socket.send(message(name, (encoder) => {
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarUint8Array(encoder, Y.encodeStateVector(doc));
      }));
    });
    let isJoined = false;
    socket.on("message", (data) => {
      if (!isJoined) {
        isJoined = true;
        joined({ type, close: () => socket.terminate() });
        return;
      }
      let isOwn;
      if (named) {
        // Hocuspocus merges what comes together, and tells a sender by itself that its update is taken.
        const kind = data[name.length + 1], step = data[name.length + 2];
        isOwn = kind === 8;
        if (counting && kind === 0 && step === 2) echoes += 1;
      } else {
        if (data[0] !== 0 || data[1] !== 2) return;
        if (counting) echoes += 1;
        isOwn = waiting && data.subarray(data.length - sent.length).equals(sent);
      }
      if (waiting && isOwn) {
        waiting = false;
        if (counting) latencies.push(performance.now() - from);
        if (!ended) type();
      }
    });
    socket.on("error", () => { errors += 1; });
  });
}

const all = [];
for (let doc = 0; doc < docs; doc++) {
  for (let one = 0; one < clients; one++) all.push(await client(`${run}-${doc}`));
}
for (const one of all) one.type();
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
