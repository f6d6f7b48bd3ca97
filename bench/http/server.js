// Node's http. usage: node server.js THREADS BYTES PORT; with several threads as many processes.
"use strict";
const cluster = require("cluster"), fs = require("fs"), http = require("http");
const [threads, size, port] = process.argv.slice(2).map(Number);

if (threads > 1 && cluster.isPrimary) {
  for (let i = 0; i < threads; i++) {
    cluster.fork();
  }
} else {
  http.createServer((request, response) => {
    if (size === 13) {
      response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": 13 });
      response.end("Hello, world\n");
    } else {
      const path = "build/http/files" + request.url;
      fs.stat(path, (missing, about) => {
        if (missing) {
          response.writeHead(404);
          return response.end();
        }
        response.writeHead(200, { "Content-Type": "text/plain", "Content-Length": about.size });
        fs.createReadStream(path).pipe(response);
      });
    }
  }).listen({ port, host: "127.0.0.1", backlog: 4096 });
}
