// A load of Yjs clients: node load.mjs URL DOCS CLIENTS SECS RATE|0 [hocuspocus|y-sweet]
//
// Each client types into a document of its own making and sends the update. What comes is counted, not
// applied, so the load is lighter than real clients are.
import WebSocket from "ws";
import * as Y from "yjs";
import * as encoding from "lib0/encoding";

import { measure, tally, Typist } from "../measure.mjs";

const [url, docs, clients, secs, rate, kind] = process.argv.slice(2);
const named = kind === "hocuspocus";

function message(name, write) {
  const encoder = encoding.createEncoder();
  if (named) encoding.writeVarString(encoder, name);
  write(encoder);
  return Buffer.from(encoding.toUint8Array(encoder));
}

function client(name) {
  return new Promise((joined) => {
    const path = { hocuspocus: "", "y-sweet": `/d/${name}/ws/${name}` }[kind] ?? `/${name}`;
    const socket = new WebSocket(url + path);
    const doc = new Y.Doc(), text = doc.getText("text");
    let sent;
    doc.on("update", (update) => {
      sent = Buffer.from(update);
      socket.send(message(name, (encoder) => {
        encoding.writeVarUint(encoder, 0);
        encoding.writeVarUint(encoder, 2);
        encoding.writeVarUint8Array(encoder, update);
      }));
    });
    const typist = new Typist(() => text.insert(text.length, "a"));
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
        joined(typist);
        return;
      }
      let isOwn;
      if (named) {
        // Hocuspocus merges what comes together, and tells a sender by itself that its update is taken.
        const kind = data[name.length + 1], step = data[name.length + 2];
        isOwn = kind === 8;
        if (tally.counting && kind === 0 && step === 2) tally.echoes += 1;
      } else {
        if (data[0] !== 0 || data[1] !== 2) return;
        if (tally.counting) tally.echoes += 1;
        isOwn = sent && data.subarray(data.length - sent.length).equals(sent);
      }
      if (isOwn) typist.answered();
    });
    socket.on("error", () => { tally.errors += 1; });
  });
}

await measure(client, docs, clients, secs, rate);
