// The works of messages with Node's worker_threads: node peer.mjs WORK N [KIND]
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import { fileURLToPath } from "node:url";

const here = fileURLToPath(import.meta.url);
const start = (data) => new Worker(here, { workerData: data });

function messageOf(kind) {
  const kinds = {
    integer: 1,
    table: { 1: 1, 2: 2, x: "y" },
    text: "x".repeat(1000),
    array: Array.from({ length: 1000 }, (_, i) => i + 1),
    block: "x".repeat(1000000),
  };
  return kinds[kind] ?? "x".repeat(Number(kind));
}

const inWorkers = {
  one_way({ n, kind }) {
    const message = messageOf(kind);
    for (let i = 0; i < n; i++) parentPort.postMessage(message);
  },
  echo() {
    parentPort.on("message", (message) => {
      if (message === false) parentPort.close();
      else parentPort.postMessage(message);
    });
  },
  first_message() {
    parentPort.postMessage(1);
  },
};

const works = {
  one_way(n, kind) {
    let left = n;
    const worker = start({ what: "one_way", n, kind });
    worker.on("message", () => { left -= 1; });
    worker.on("exit", () => { if (left !== 0) process.exit(1); });
  },
  round_trip(n) {
    let i = 1;
    const worker = start({ what: "echo" });
    worker.on("message", () => {
      i += 1;
      worker.postMessage(i <= n ? i : false);
    });
    worker.postMessage(i);
  },
  create(n) {
    let left = n;
    const next = () => {
      if (left-- > 0) start({ what: "first_message" }).on("exit", next);
    };
    next();
  },
};

if (isMainThread) works[process.argv[2]](Number(process.argv[3]), process.argv[4]);
else inWorkers[workerData.what](workerData);
