// The ledger of ledger.py in JavaScript: `<job id> <monotonic ns>` a line, written fifty times a second.
import { appendFileSync } from "node:fs";

const FLUSH_MS = 20;
const file = `${process.env.BENCH_LEDGER}/${process.pid}.starts`;
let lines = "";

export function started(jobId) {
  lines += `${jobId} ${process.hrtime.bigint()}\n`;
}

setInterval(() => {
  if (lines) {
    appendFileSync(file, lines);
    lines = "";
  }
}, FLUSH_MS);
