// ShareDB in memory with the type text-unicode, on the port of the environment.
import http from "node:http";
import ShareDB from "sharedb";
import { type } from "ot-text-unicode";
import WebSocketJSONStream from "@teamwork/websocket-json-stream";
import { WebSocketServer } from "ws";

ShareDB.types.register(type);
const share = new ShareDB();
const server = http.createServer();
new WebSocketServer({ server }).on("connection", (socket) => share.listen(new WebSocketJSONStream(socket)));
server.listen(Number(process.env.PORT), "127.0.0.1");
