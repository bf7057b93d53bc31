// SPDX-License-Identifier: Apache-2.0
// http_loop.js HOST PORT COUNT: one request after the other, each on a connection of its own; prints the body of each.
const http = require('http');
const [host, port, count] = process.argv.slice(2);

function ask(left) {
  if (left === 0) return;
  http.get({host, port, agent: false, timeout: 5000}, (response) => {
    response.setEncoding('utf8');
    response.on('data', (text) => process.stdout.write(text));
    response.on('end', () => ask(left - 1));
  }).on('error', (error) => {
    console.log(error.code);
    ask(left - 1);
  });
}

ask(Number(count));
