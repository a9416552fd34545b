// Workers, a stack that overflows, shared memory, WebAssembly, a child, and a heap with garbage.
const { Worker, isMainThread, parentPort } = require("worker_threads");
const { execFileSync } = require("child_process");

function descend(depth) {
  return depth === 0 ? 0 : 1 + descend(depth - 1);
}

function overflow() {
  try {
    return descend(1e9);
  } catch (error) {
    return error.constructor.name;
  }
}

function work() {
  let sum = 0;
  for (let i = 0; i < 300000; i++) sum += JSON.stringify({ i, text: String(i) }).length;
  return `${sum} ${overflow()}`;
}

const bytes = [0, 97, 115, 109, 1, 0, 0, 0, 1, 7, 1, 96, 2, 127, 127, 1, 127, 3, 2, 1, 0, 7, 7, 1, 3,
  97, 100, 100, 0, 0, 10, 9, 1, 7, 0, 32, 0, 32, 1, 106, 11];

if (!isMainThread) {
  parentPort.postMessage(work());
} else {
  const workers = Array.from({ length: 8 }, () => new Promise((resolve, reject) => {
    new Worker(__filename).on("message", resolve).on("error", reject);
  }));
  Promise.all(workers).then((results) => {
    const { add } = new WebAssembly.Instance(new WebAssembly.Module(new Uint8Array(bytes))).exports;
    const child = execFileSync("sh", ["-c", "echo child"]).toString().trim();
    console.log(new Set([...results, work()]).size, results[0], add(2, 3), child);
  });
}
