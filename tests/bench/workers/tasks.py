"""Celery's tasks, through a broker of files; the model is loaded after the fork, or before."""

# mypy: ignore-errors

import os
from pathlib import Path

from answers import answer, load
from celery import Celery
from celery.signals import worker_process_init

FOLDER = Path.home()
QUEUE = FOLDER / "queue"
QUEUE.mkdir(exist_ok=True)
app = Celery("tasks", broker="filesystem://", backend=f"file://{QUEUE}")
app.conf.broker_transport_options = {
    "data_folder_in": str(QUEUE),
    "data_folder_out": str(QUEUE),
    "control_folder": str(FOLDER / "control"),
}
app.conf.worker_prefetch_multiplier = 1
if "KSMRUN_BENCH_BEFORE_FORK" in os.environ:
    load()


@worker_process_init.connect
def start(**_arguments) -> None:
    """Load it in each worker."""
    load()


@app.task
def ask(number: int) -> str:
    """Answer a task."""
    return answer(number)
