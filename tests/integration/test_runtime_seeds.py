"""Seeds that the shim gives to Ruby, Node, Java 17 and glibc's malloc; all else stays individual.

With --full, in each version that tests/common/interpreters.py can get.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest
from compiled import compile_to
from elftools.elf.elffile import ELFFile
from interpreters import Runtime, runtimes

from ksmrun.facts.launcher import LAUNCHER

from .conftest import Programs

# As the product gives it, so that ld.so finds the one for 64 or 32 bits.
SHIM = LAUNCHER.parent / "shim/$PLATFORM/libksmrun-preload.so"
SEED, OTHER = "0f" * 32, "ab" * 32


def run(command: list[str], seed: str | None, **variables: str) -> str:
    """Return what a command prints, with the shim that a shared layout comes with."""
    environment = {**os.environ, **variables, "LD_PRELOAD": str(SHIM)}
    environment["KSMRUN_SHIM"] = "keep" if seed is None else f"keep,seed={seed}"
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, ""), command
    return done.stdout


def documents(command: list[str]) -> tuple[dict[str, object], ...]:
    """Return the JSON of two copies, one of another group, and two with their own seeds."""
    seeds = (SEED, SEED, OTHER, None, None)
    return tuple(json.loads(run(command, seed)) for seed in seeds)


def judge(found: tuple[dict[str, object], ...], shared: set[str], fixed: set[str]) -> None:
    """Assert that what is shared is the group's, what is fixed the same, and all else differs."""
    one, two, other, own, again = found
    assert one.keys() >= shared | fixed
    for name in one:
        if name in fixed:
            assert one[name] == two[name] == other[name] == own[name] == again[name], name
        else:
            assert (one[name] == two[name]) == (name in shared), name
            assert other[name] != one[name] and own[name] != again[name], name


RUBY = """
require 'securerandom'; require 'openssl'; require 'json'
first = Random.urandom(24)
t = Process.clock_gettime(Process::CLOCK_MONOTONIC); sleep 0.05
elapsed = Process.clock_gettime(Process::CLOCK_MONOTONIC) - t
puts({hash: 'a'.hash, symbol: :abc.to_proc.class.name.hash, rand: rand, seed: Random.new_seed,
      urandom: first.unpack1('H*'), secure: SecureRandom.hex(24), uuid: SecureRandom.uuid,
      key: OpenSSL::PKey::EC.generate('prime256v1').to_pem, right:
      (Time.now.to_f - File.stat('/proc/self').ctime.to_f).abs < 60 && elapsed > 0.05 &&
      elapsed < 30}.to_json)
"""


@pytest.mark.parametrize("runtime", runtimes("ruby"), ids=str)
def test_ruby(runtime: Runtime) -> None:
    command = runtime.command("-e", RUBY)
    judge(documents(command), {"hash", "symbol"}, {"right"})


NODE = """
const crypto = require('crypto'), start = process.hrtime.bigint(), at = performance.now();
const deadline = Date.now() + 50;
while (Date.now() < deadline);
const elapsed = Number(process.hrtime.bigint() - start) / 1e6, more = performance.now() - at;
const key = crypto.generateKeyPairSync('ec', {namedCurve: 'prime256v1'}).privateKey;
console.log(JSON.stringify({
  random: [Math.random(), Math.random()], bytes: crypto.randomBytes(16).toString('hex'),
  uuid: crypto.randomUUID(), web: crypto.webcrypto.getRandomValues(new Uint32Array(4)).join(),
  key: key.export({type: 'pkcs8', format: 'pem'}), session: crypto.createSecretKey(
  crypto.randomBytes(32)).export().toString('hex'), argv: process.execArgv.concat(process.argv0),
  right: elapsed >= 49 && elapsed < 30000 && more >= 49 && more < 30000 &&
    Math.abs(Date.now() - require('fs').statSync('/proc/self').ctimeMs) < 60000}));
"""
# What uses threads of V8's own, or starts further processes and isolates.
BUSY = """
const {Worker, isMainThread, parentPort} = require('worker_threads'), cluster = require('cluster');
const child = require('child_process');
if (process.send) { process.send(process.execArgv.length); process.disconnect(); }
else if (!isMainThread) parentPort.postMessage(require('crypto').randomUUID());
else (async () => {
  const said = (it) => new Promise((done, fail) => it.once('message', done).once('error', fail));
  const ids = await Promise.all([1, 2, 3, 4].map(() => said(new Worker(__filename))));
  const flags = await said(child.fork(__filename));
  cluster.setupPrimary({exec: __filename});
  const clustered = await said(cluster.fork());
  const wasm = await WebAssembly.compile(Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0));
  const kept = [];
  for (let i = 0; i < 2e5; i++) kept[i % 5e4] = {i, text: `text ${i}`};
  console.log(new Set(ids).size, flags, clustered, wasm.constructor.name, kept.length,
              process.execArgv.length);
})();
"""
SNAPSHOT = """
const data = new Map([['a', 1]]);
require('v8').startupSnapshot.setDeserializeMainFunction(() => console.log(data.get('a')));
"""


@pytest.mark.parametrize("runtime", runtimes("node"), ids=str)
def test_node(runtime: Runtime, tmp_path: Path) -> None:
    judge(documents(runtime.command("-e", NODE)), {"random"}, {"argv", "right"})
    (tmp_path / "busy.js").write_text(BUSY)
    assert run(runtime.command(str(tmp_path / "busy.js")), SEED) == "4 0 0 Module 50000 0\n"
    # V8 shows each flag as it is now. Threads differ by chance only, which other tests may not see.
    shown = run(runtime.command("--v8-options"), SEED)
    assert "default: --single-threaded\n" in shown
    # Node 18 writes it without the second hyphen.
    assert re.search("default: --no-?incremental-marking\n", shown)
    assert re.search("default: --random-seed=[1-9]", shown)
    assert re.search("default: --hash-seed=[1-9]", shown)
    # What the user says counts.
    random = ["--random-seed=7", "-p", "Math.random()"]
    assert run(runtime.command(*random), SEED) == run(runtime.command(*random), None)


@pytest.mark.parametrize("runtime", runtimes("node"), ids=str)
def test_snapshots_of_node(runtime: Runtime, tmp_path: Path) -> None:
    """Those made without the shim start with it, and the other way round."""
    (tmp_path / "entry.js").write_text(SNAPSHOT)
    for maker, user in ((None, SEED), (SEED, None)):
        blob = f"--snapshot-blob={tmp_path}/blob"
        run(runtime.command(blob, "--build-snapshot", str(tmp_path / "entry.js")), maker)
        assert run(runtime.command(blob, "main"), user) == "1\n"
        options = {"NODE_OPTIONS": f"{blob}"}
        if int(run(runtime.command("-p", "process.versions.node"), None).split(".")[0]) >= 20:
            assert run(runtime.command("main"), user, **options) == "1\n"


def test_an_application_in_node_is_left_alone(tmp_path: Path) -> None:
    """A note of that name is what tells it, so a copy of Node gets one in place of its own."""
    (node,) = Runtime("node", "24.19.0").command()
    program = tmp_path / "node"
    shutil.copy(node, program)
    with program.open("r+b") as file:
        notes = next(ELFFile(file).iter_segments("PT_NOTE")).header
        name = b"NODE_SEA_BLOB\0"
        header = struct.pack("<3I", len(name), notes.p_filesz - 12 - 16, 0)
        file.seek(notes.p_offset)
        file.write(header + name)
    words = ("-p", "Math.random()")
    assert run([node, *words], SEED) == run([node, *words], SEED)
    assert run([str(program), *words], SEED) != run([str(program), *words], SEED)


JAVA = """
import java.lang.reflect.Field; import java.security.SecureRandom; import java.util.*;
public class Seeds {
  public static void main(String[] words) throws Exception {
    Field salt = Class.forName("java.util.ImmutableCollections").getDeclaredField("SALT32L");
    salt.setAccessible(true);
    long start = System.nanoTime(); Thread.sleep(50); long elapsed = System.nanoTime() - start;
    double uptime = Double.parseDouble(new String(java.nio.file.Files.readAllBytes(
      java.nio.file.Path.of("/proc/uptime"))).split(" ")[0]);
    boolean right = elapsed >= 50_000_000L && elapsed < 30_000_000_000L
      && Math.abs(System.nanoTime() / 1e9 - uptime) < 30
      && Math.abs(System.currentTimeMillis() - ProcessHandle.current().info().startInstant().get()
        .toEpochMilli()) < 60_000
      && java.lang.management.ManagementFactory.getRuntimeMXBean().getUptime() < 60_000;
    var keys = java.security.KeyPairGenerator.getInstance("EC");
    System.out.printf("{\\"salt\\":%d,\\"random\\":%d,\\"secure\\":%d,\\"uuid\\":\\"%s\\",\\"key\\":%d,"
      + "\\"split\\":%d,\\"right\\":%b}%n", salt.getLong(null), new Random().nextLong(),
      new SecureRandom().nextLong(), UUID.randomUUID(),
      keys.generateKeyPair().getPrivate().hashCode(), new SplittableRandom().nextLong(), right);
  }
}
"""


@pytest.mark.parametrize("runtime", runtimes("java"), ids=str)
def test_java(runtime: Runtime, tmp_path: Path) -> None:
    (tmp_path / "Seeds.java").write_text(JAVA)
    subprocess.run(["javac", "--release=11", "-d", tmp_path, tmp_path / "Seeds.java"], check=True)
    options = ("--add-opens=java.base/java.util=ALL-UNNAMED", "-XX:TieredStopAtLevel=1")
    command = runtime.command(*options, "-cp", str(tmp_path), "Seeds")
    shared = {"salt"} if runtime.major == 17 else set()
    judge(documents(command), shared, {"right"})


FREED = """
import ctypes, json
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
block = libc.malloc(200)
libc.free(block)
print(json.dumps({"key": ctypes.c_uint64.from_address(block + 8).value}))
"""


def test_the_key_of_freed_blocks() -> None:
    judge(documents([sys.executable, "-c", FREED]), {"key"}, set())


DOUBLE_FREE = """
#include <stdio.h>
#include <stdlib.h>
int main(int argc, char **argv) {
    (void)argv;
    void *volatile block = malloc(200);
    volatile unsigned long *words = block;
    free(block);
    printf("%lx\\n", words[sizeof(long) / sizeof *words]);
    fflush(stdout);
    if (argc > 1)
        free(block);
    return 0;
}
"""


@pytest.mark.parametrize("bits", [64, 32])
def test_a_block_freed_twice_is_detected(programs: Programs, tmp_path: Path, bits: int) -> None:
    source, program = tmp_path / "twice.c", programs.folder / f"twice-{bits}"
    source.write_text(DOUBLE_FREE)
    words = ["gcc"] if bits == 64 else ["gcc-12", "-m32", "-I/usr/include/x86_64-linux-gnu"]
    compile_to(program, [*words, "-w", source])
    folder = "x86_64" if bits == 64 else "i686"
    shim = LAUNCHER.parent / f"shim/{folder}/libksmrun-preload.so"
    environment = {"LD_PRELOAD": str(shim), "KSMRUN_SHIM": f"keep,seed={SEED}"}
    shown = [subprocess.check_output([program], env=environment) for _ in range(2)]
    assert shown[0] == shown[1] != subprocess.check_output([program])
    without = {**environment, "GLIBC_TUNABLES": "glibc.malloc.tcache_count=0"}
    subprocess.run([program], env=without, check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run([program, "x"], env=environment, capture_output=True, check=False)
    assert done.returncode < 0 and b"double free" in done.stderr
