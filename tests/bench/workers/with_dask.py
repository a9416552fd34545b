"""Run a local cluster of Dask: WORKERS NUMBER. Prints answers, then waits for its stdin to end."""

# mypy: ignore-errors

import sys

from answers import answer
from dask.distributed import Client, LocalCluster


def ask_all(number):
    """Answer them in one worker."""
    return [answer(each) for each in range(number)]


if __name__ == "__main__":
    workers, number = map(int, sys.argv[1:])
    cluster = LocalCluster(
        n_workers=workers, threads_per_worker=1, dashboard_address=None, memory_limit=0
    )
    client = Client(cluster)
    for answers in client.run(ask_all, number // workers).values():
        print(*answers, sep="\n")
    print("ready", flush=True)
    sys.stdin.read()
    client.close()
    cluster.close()
