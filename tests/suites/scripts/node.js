// A JIT, worker threads, children, a server and a heap that is collected.
const { Worker } = require('worker_threads');
const { spawnSync, fork, execFileSync } = require('child_process');
const crypto = require('crypto');
const http = require('http');
const zlib = require('zlib');
const work = n => new Promise((done, fail) => {
  const worker = new Worker(`const { parentPort } = require('worker_threads');
    let a = []; for (let i = 0; i < 200000; i++) a.push({ i });
    parentPort.postMessage(a.reduce((s, x) => s + x.i, ${n}));`, { eval: true });
  worker.on('message', done).on('error', fail);
});
(async () => {
  console.log((await Promise.all([1, 2, 3, 4].map(work))).join(' '));
  console.log(spawnSync('sh', ['-c', 'exit 4']).status, String(execFileSync('echo', ['child'])));
  console.log(crypto.pbkdf2Sync('a', 'b', 20000, 16, 'sha256').toString('hex'));
  await new Promise(done => crypto.scrypt('a', 'b', 16, (e, key) => { console.log(key.toString('hex')); done(); }));
  console.log(zlib.gunzipSync(zlib.gzipSync(Buffer.alloc(5000000, 'x'))).length);
  for (let i = 0; i < 20; i++) new ArrayBuffer(10000000);
  const server = http.createServer((q, a) => a.end(q.url)).listen('/tmp/node.sock', () =>
    http.get({ socketPath: '/tmp/node.sock', path: '/asked' }, r => r.on('data', d => {
      console.log(String(d)); server.close(() => process.exit(8)); server.closeAllConnections(); })));
})();
