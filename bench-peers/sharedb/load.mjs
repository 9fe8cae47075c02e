// A load of ShareDB clients, each with one edit under way: node load.mjs URL DOCS CLIENTS SECS
import ShareDB from "sharedb/lib/client/index.js";
import { type } from "ot-text-unicode";
import WebSocket from "ws";

import { measure, tally } from "../measure.mjs";

ShareDB.types.register(type);
const [url, docs, clients, secs] = process.argv.slice(2);

function client(name) {
  return new Promise((joined, failed) => {
    const socket = new WebSocket(url);
    const doc = new ShareDB.Connection(socket).get("load", name);
    doc.on("error", () => { tally.errors += 1; });
    doc.on("op", (op, isOwn) => { if (tally.counting && !isOwn) tally.echoes += 1; });
    const edit = () => {
      const from = performance.now();
      doc.submitOp(["a"], (error) => {
        if (error) { tally.errors += 1; return; }
        if (tally.counting) { tally.latencies.push(performance.now() - from); tally.echoes += 1; }
        if (!tally.ended) edit();
      });
    };
    doc.subscribe((error) => {
      if (error) return failed(error);
      if (doc.type) return joined(edit);
      doc.create("", type.uri, (refused) => (refused ? failed(refused) : joined(edit)));
    });
  });
}

await measure(client, docs, clients, secs);
