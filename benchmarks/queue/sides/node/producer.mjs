// The orders of orders.py in JavaScript, for BullMQ on Node.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { Queue } from "bullmq";
import { Redis } from "ioredis";

const AT_A_TIME = 500;
const connection = new Redis(process.env.BENCH_REDIS);
const queue = new Queue(process.env.BENCH_NAMESPACE, { connection });

const one = (id, delay) => queue.add("bench", { id }, delay ? { delay } : {});

async function bulk(ids) {
  for (let first = 0; first < ids.length; first += AT_A_TIME) {
    await queue.addBulk(ids.slice(first, first + AT_A_TIME).map((id) => ({ name: "bench", data: { id } })));
  }
}

function versions() {
  const read = (name) => JSON.parse(readFileSync(new URL(`./node_modules/${name}/package.json`, import.meta.url)));
  const found = ["bullmq", "ioredis"].map((name) => [name, read(name).version]);
  return Object.fromEntries([...found, ["node", process.versions.node]]);
}

async function obey(order) {
  if (order.do === "versions") return versions();
  const began = process.hrtime.bigint();
  if (order.do === "single") {
    await one(order.id, order.delay_ms);
    return { at: Number(began) };
  }
  const ids = Array.from({ length: order.count }, (_, number) => `job-${order.first + number}`);
  if (order.do === "bulk") await bulk(ids);
  else for (const id of ids) await one(id, 0);
  return { seconds: Number(process.hrtime.bigint() - began) / 1e9 };
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(JSON.stringify(await obey(JSON.parse(line))) + "\n");
}
await queue.close();
connection.disconnect();
