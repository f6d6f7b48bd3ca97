// workloads.js - the benchmark's workloads in Node: worker_threads and postMessage. Node has no queue that several
// workers share, so keys and tasks are dealt out in turn.
//
// Usage: node workloads.js WORKLOAD COUNT [WORKERS] prints the seconds it took, once the workers have started. Key 0
// ends one.
"use strict";
const { Worker, parentPort, isMainThread } = require("node:worker_threads");
const os = require("node:os");

const WINDOW = 1000;

function work(x) {
  return x;
}

function serve() {
  let handled = 0;
  parentPort.on("message", (message) => {
    if (message === 0) {
      parentPort.postMessage(handled);
      parentPort.close();
    } else if (message.id !== undefined) {
      parentPort.postMessage({ id: message.id, result: work(message.argument) });
    } else if (message.ball !== undefined) {
      parentPort.postMessage(message);
    } else {
      handled++;
    }
  });
  parentPort.postMessage("ready");
}

function next(worker) {
  return new Promise((resolve) => worker.once("message", resolve));
}

async function start(count) {
  const workers = [];
  for (let i = 0; i < count; i++) {
    workers.push(new Worker(__filename));
  }
  await Promise.all(workers.map(next));
  return workers;
}

function check(good) {
  if (!good) {
    throw new Error("lost or handled twice");
  }
}

async function keys(workers, count) {
  for (let i = 1; i <= count; i++) {
    workers[i % workers.length].postMessage(i);
  }
  workers.forEach((worker) => worker.postMessage(0));
  const handled = await Promise.all(workers.map(next));
  check(handled.reduce((sum, n) => sum + n, 0) === count);
}

function pingPong([worker], count) {
  return new Promise((resolve) => {
    worker.on("message", ({ ball }) => {
      if (ball === count) {
        resolve();
      } else {
        worker.postMessage({ ball: ball + 1 });
      }
    });
    worker.postMessage({ ball: 1 });
  });
}

async function results(workers, count) {
  const pending = new Map();
  workers.forEach((worker) => worker.on("message", ({ id, result }) => {
    pending.get(id)(result);
    pending.delete(id);
  }));
  for (let i = 0; i < count; i += WINDOW) {
    const promises = [];
    for (let id = i; id < i + WINDOW; id++) {
      promises.push(new Promise((resolve) => pending.set(id, resolve)));
      workers[id % workers.length].postMessage({ id, argument: id });
    }
    (await Promise.all(promises)).forEach((result, j) => check(result === i + j));
  }
}

const workloads = { keys, "ping-pong": pingPong, results };

async function main(workload, count, parameter) {
  const workers = await start(parameter || (workload === "results" ? os.cpus().length : 1));
  const started = process.hrtime.bigint();
  await workloads[workload](workers, count);
  const seconds = Number(process.hrtime.bigint() - started) / 1e9;
  console.log(seconds.toFixed(9));
  process.exit(0);
}

if (isMainThread) {
  main(process.argv[2], Number(process.argv[3]), Number(process.argv[4]));
} else {
  serve();
}
