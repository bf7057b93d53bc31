// SPDX-License-Identifier: Apache-2.0
// dial.js http|net|fetch HOST PORT COUNT PARALLEL: node's ways to connect, one line of SECONDS RESULT for each connection.
const http = require('http');
const net = require('net');

const [way, host, portText, countText, parallelText] = process.argv.slice(2);
const port = Number(portText), count = Number(countText), parallel = Number(parallelText);
const LIMIT_MS = 3000;

const ways = {
  'http': (signal) => new Promise((resolve, reject) => {
    http.get({host, port, signal, agent: false}, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => resolve(body.trim()));
    }).on('error', reject);
  }),
  'net': (signal) => new Promise((resolve, reject) => {
    const socket = net.connect({port, host}, () => socket.write('WHO\n'));
    signal.addEventListener('abort', () => socket.destroy(signal.reason));
    socket.setEncoding('utf8').once('data', (text) => { resolve(text.trim()); socket.destroy(); }).on('error', reject);
  }),
  'fetch': async (signal) => {
    const answer = await fetch(`http://${host}:${port}/`, {headers: {connection: 'close'}, signal});
    return (await answer.text()).trim();
  },
};

async function one() {
  const began = performance.now();
  // A timer of AbortSignal.timeout() does not keep the process.
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(new Error('timeout')), LIMIT_MS);
  const result = await ways[way](abort.signal).catch((error) => (error.cause && error.cause.code) || error.code || error.message);
  clearTimeout(timer);
  console.log(`${((performance.now() - began) / 1000).toFixed(6)} ${result}`);
}

(async () => {
  for (let i = 0; i < count; i += parallel) {
    await Promise.all(Array.from({length: Math.min(parallel, count - i)}, one));
  }
  process.exit(0);
})();
