// A wrong server: it stands before a right one and sends every echo twice.
//
//   node wrong.mjs ws://127.0.0.1:8000/ws
//
// Writes its own URL in a line `listening on ws://…`.

import { WebSocket, WebSocketServer } from 'ws';

const [right] = process.argv.slice(2);
const server = new WebSocketServer({ host: '127.0.0.1', port: 0, path: '/ws' });

server.on('connection', client => {
  const behind = new WebSocket(right);
  const early = [];
  client.on('message', data => {
    if (behind.readyState === WebSocket.OPEN) behind.send(`${data}`);
    else early.push(`${data}`);
  });
  behind.on('open', () => early.forEach(text => behind.send(text)));
  behind.on('message', data => {
    const text = `${data}`;
    client.send(text);
    if (text.startsWith('{"type":"op_echo"')) client.send(text);
  });
  behind.on('close', () => client.close());
  client.on('close', () => behind.close());
});
server.on('listening', () => console.log(`listening on ws://127.0.0.1:${server.address().port}/ws`));
process.on('SIGTERM', () => process.exit(0));
