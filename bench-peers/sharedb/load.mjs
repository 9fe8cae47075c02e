// A load of ShareDB clients: node load.mjs URL DOCS CLIENTS SECS RATE|0
import ShareDB from "sharedb/lib/client/index.js";
import { type } from "ot-text-unicode";
import WebSocket from "ws";

import { measure, tally, Typist } from "../measure.mjs";

ShareDB.types.register(type);
const [url, docs, clients, secs, rate] = process.argv.slice(2);

function client(name) {
  return new Promise((joined, failed) => {
    const socket = new WebSocket(url);
    const doc = new ShareDB.Connection(socket).get("load", name);
    doc.on("error", () => { tally.errors += 1; });
    doc.on("op", (op, isOwn) => { if (tally.counting && !isOwn) tally.echoes += 1; });
    const typist = new Typist(() => doc.submitOp(["a"], (error) => {
      if (error) { tally.errors += 1; return; }
      if (tally.counting) tally.echoes += 1;
      typist.answered();
    }));
    doc.subscribe((error) => {
      if (error) return failed(error);
      if (doc.type) return joined(typist);
      doc.create("", type.uri, (refused) => (refused ? failed(refused) : joined(typist)));
    });
  });
}

await measure(client, docs, clients, secs, rate);
