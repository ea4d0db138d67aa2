// npm's `ws` as a client, speaking as the vendor's examples do.
//
//   node websocket.js URL page    the page's example: `WebSocket` with `onmessage`, sends ["sessions"]
//   node websocket.js URL node    the vendor's Node client: `ws.on('message')`, sends ["sessions",[]]
//
// Prints a JSON line for all that happens. Reads words from standard input, a line each: `ask` asks for the
// list again, `ping` pings, `close` closes.
'use strict';

const readline = require('readline');
const WebSocket = require('ws');

const [url, example] = process.argv.slice(2);
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');
const request = example === 'page' ? ['sessions'] : ['sessions', []];

const ws = new WebSocket(url);
const ask = () => ws.send(JSON.stringify(request));

function received(text) {
  const [event, data, ...more] = JSON.parse(text);
  tell({ event, data, more: more.length });
}

if (example === 'page') {
  ws.onopen = ask;
  ws.onmessage = (m) => received(m.data);
} else {
  ws.on('open', ask);
  ws.on('message', (data) => received(data.toString()));
}
ws.on('pong', () => tell({ event: 'PONG' }));
ws.on('unexpected-response', (_, response) => {
  tell({ event: 'REFUSED', status: response.statusCode });
  process.exit();
});
ws.on('error', (error) => tell({ event: 'ERROR', code: error.code, message: error.message }));
ws.on('close', (code) => {
  tell({ event: 'CLOSED', code });
  process.exit();
});

readline.createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'ask') ask();
  if (word === 'ping') ws.ping();
  if (word === 'close') ws.close();
});
