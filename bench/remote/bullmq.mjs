// BullMQ's client and worker for bench/remote: client|worker SOCKET [JOBS], with batches and a window as ours have.
// NODE_PATH does not count for modules: BULLMQ names the folder that npm installed bullmq into.
import { createRequire } from "node:module";
const { Queue, QueueEvents, Worker } = createRequire(process.env.BULLMQ + "/")("bullmq");
const [role, path, jobs] = process.argv.slice(2);
const connection = { path, maxRetriesPerRequest: null };

if (role === "worker") {
  new Worker("bench", async (job) => job.data.a + job.data.b, { connection, concurrency: 201,
    removeOnComplete: { count: 1000 } });
} else {
  const queue = new Queue("bench", { connection }), events = new QueueEvents("bench", { connection });
  await events.waitUntilReady();
  const n = Number(jobs);
  let sent = 0, open = 0, done = 0, wake = () => {};
  events.on("completed", () => { open--; done++; wake(); });
  while (done < n) {
    while (sent < n && open + 256 <= 2000) {
      const count = Math.min(256, n - sent), batch = [];
      for (let i = 0; i < count; i++) batch.push({ name: "add", data: { a: sent + i, b: 1 } });
      sent += count;
      open += count;
      await queue.addBulk(batch);
    }
    if (done < n) await new Promise((resolve) => { wake = resolve; });
  }
  await queue.close();
  await events.close();
}
