// npm's `socket.io-client` 2.x as a client, as the vendor's NodeJS example has it, defaults and all: it begins
// with polling and goes on over a WebSocket.
//
//   node socketio.js URL SID LOGIN OPTIONS    options of `io()` as JSON; with "older" in them, that form is used
//
// Prints a JSON line for all that happens. Reads words from standard input, a line each: `ask` asks for the
// list again, `close` closes.
'use strict';

const readline = require('readline');
const cookie = require('cookie');
const io = require('socket.io-client');

const [url, sid, login, given] = process.argv.slice(2);
const { older, ...options } = JSON.parse(given || '{}');
const tell = (what) => process.stdout.write(JSON.stringify(what) + '\n');

const ws = io(`${url}/?SID=${sid}`, {
  extraHeaders: { cookie: cookie.serialize('SID', sid) },
  ...options,
});

const ask = () => {
  if (older) ws.emit('notifySessions');
  else ws.emit('sup_subscribe', 'iitr_notify_sessions_json', login);
};
const transport = () => ws.io.engine.transport.name;

ws.on(older ? 'sessions' : 'sup_iitr_notify_sessions_json', (err, data) => {
  if (err) tell({ event: 'ERR', err });
  else tell({ event: 'sessions', res: data[0].response.res, transport: transport() });
});
ws.on('markets', () => tell({ event: 'markets' }));
ws.on('connect', () => {
  tell({ event: 'CONNECT', transport: transport() });
  ws.io.engine.on('upgrade', () => tell({ event: 'UPGRADE', transport: transport() }));
  ws.io.engine.on('pong', () => tell({ event: 'PONG' }));
  ask();
});
ws.on('error', (error) => tell({ event: 'ERROR', error: String(error) }));
ws.on('connect_error', (error) => {
  // A number for polling, the event of `ws` for a WebSocket.
  const { description } = error;
  tell({ event: 'CONNECT_ERROR', description: String((description && description.message) || description) });
});
ws.on('reconnect_attempt', (attempt) => tell({ event: 'RECONNECT_ATTEMPT', attempt }));
ws.on('disconnect', (reason) => tell({ event: 'DISCONNECT', reason }));

readline.createInterface({ input: process.stdin }).on('line', (word) => {
  if (word === 'ask') ask();
  if (word === 'close') {
    ws.close();
    process.exit();
  }
});
