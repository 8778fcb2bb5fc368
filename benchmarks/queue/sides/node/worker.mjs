// BullMQ on Node: one Worker with its defaults; locks of 30 s, a look for stalled jobs every 30 s, finished jobs kept.
import { setTimeout as sleep } from "node:timers/promises";
import { Worker } from "bullmq";
import { Redis } from "ioredis";
import { started } from "./ledger.mjs";

const { BENCH_REDIS, BENCH_NAMESPACE, BENCH_CONCURRENCY, BENCH_HOLD } = process.env;
// Null is what BullMQ's page on going to production asks for in workers.
const connection = new Redis(BENCH_REDIS, { maxRetriesPerRequest: null });
const holdMs = Number(BENCH_HOLD) * 1000;

async function handle(job) {
  started(job.data.id);
  if (holdMs) await sleep(holdMs);
  return { id: job.data.id };
}

const worker = new Worker(BENCH_NAMESPACE, handle, { connection, concurrency: Number(BENCH_CONCURRENCY) });
process.on("SIGTERM", async () => {
  await worker.close(true);
  process.exit(0);
});
