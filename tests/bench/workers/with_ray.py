"""Run actors of Ray: WORKERS NUMBER [WORD of the interpreter's command]...

Prints their answers, then waits for its stdin to end.
"""

# mypy: ignore-errors

import os
import shlex
import sys
from pathlib import Path

import ray

HERE = str(Path(__file__).resolve().parent)
workers, number, *words = sys.argv[1:]
environment = {
    "env_vars": {"PYTHONPATH": HERE, "KSMRUN_BENCH_MODEL": os.environ["KSMRUN_BENCH_MODEL"]}
}
if words:
    environment["py_executable"] = shlex.join([*words, sys.executable])
# Ray gives its workers niceness 15 otherwise, and a busy machine lets them wait.
os.environ.setdefault("RAY_worker_niceness", "0")
ray.init(
    num_cpus=int(workers),
    include_dashboard=False,
    object_store_memory=100 << 20,
    runtime_env=environment,
    log_to_driver=False,
)


@ray.remote(num_cpus=1)
class Actor:
    """Worker that keeps the model."""

    def ask(self, number):
        """Answer a call."""
        from answers import answer

        return answer(number)


actors = [Actor.remote() for _ in range(int(workers))]
calls = [actor.ask.remote(each) for actor in actors for each in range(int(number) // len(actors))]
print(*ray.get(calls), "ready", sep="\n", flush=True)
sys.stdin.read()
