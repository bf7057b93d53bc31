// SPDX-License-Identifier: Apache-2.0
// requests.js MODE HOST PORT COUNT [CA]: node's clients under the tests; prints the pod of each answer.
const cluster = require('cluster');
const fs = require('fs');
const http = require('http');
const https = require('https');
const net = require('net');
const worker_threads = require('worker_threads');

const [mode, host, portText, countText, ca] = process.argv.slice(2);
const port = Number(portText), count = Number(countText);

function get(module, options) {
  return new Promise((resolve, reject) => {
    module.get({host, port, timeout: 5000, ...options}, (response) => {
      let body = '';
      response.setEncoding('utf8').on('data', (text) => { body += text; }).on('end', () => resolve(body.trim()));
    }).on('error', reject);
  });
}

function who() {
  return new Promise((resolve, reject) => {
    const socket = net.connect(port, host, () => socket.write('WHO\n'));
    const peer = () => `${socket.remoteAddress}:${socket.remotePort}`;
    socket.setEncoding('utf8').once('data', (text) => { resolve(`${text.trim()} ${peer()}`); socket.destroy(); });
    socket.on('error', reject);
  });
}

async function repeat(times, ask) {
  for (let i = 0; i < times; i++) console.log(await ask());
}

const modes = {
  'http': () => repeat(count, () => get(http, {agent: false})),
  'net': () => repeat(count, who),
  'https': () => repeat(count, () => get(https, {agent: false, ca: fs.readFileSync(ca)})),
  // Two connections for all of them, in parallel.
  'keep-alive': async () => {
    const agent = new http.Agent({keepAlive: true, maxSockets: 2});
    const all = await Promise.all(Array.from({length: count}, () => get(http, {agent})));
    console.log(all.length, new Set(all).size);
    agent.destroy();
  },
  'https-keep-alive': async () => {
    const agent = new https.Agent({keepAlive: true, maxSockets: 1, ca: fs.readFileSync(ca)});
    await repeat(count, () => get(https, {agent}));
    agent.destroy();
  },
  'parallel': async () => {
    for (const line of await Promise.all(Array.from({length: count}, who))) console.log(line);
  },
  // The parent connects, then two children of it, then the parent again.
  'cluster': async () => {
    await repeat(count, who);
    if (cluster.isPrimary) {
      const ends = [cluster.fork(), cluster.fork()].map((one) => new Promise((done) => one.on('exit', done)));
      console.log(await Promise.all(ends));
      await repeat(count, who);
    } else {
      process.exit(0);
    }
  },
  'threads': async () => {
    const run = () => new Promise((done) => new worker_threads.Worker(__filename, {argv: ['net', host, portText, countText]}).on('exit', done));
    await repeat(count, who);
    console.log(await Promise.all([run(), run()]));
  },
};

modes[mode]().catch((error) => {
  console.log(error.code);
  process.exitCode = 1;
});
