"""Shows the metrics: over HTTP, or in a file for node_exporter."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from ksmrun.model import KsmrunError
from ksmrun.model.watch import WatchState
from ksmrun.watch.book import AlertBook
from ksmrun.watch.config import Config

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ksmrun.watch.metrics import WatchCollector

FILE_NAME = "ksmrun.prom"
SERVER_STOP_SECONDS = 1.0


class Show:
    """Needs prometheus-client where something is to be shown. Raises KsmrunError."""

    def __init__(self, config: Config) -> None:
        self._file: Path | None = None
        self._server: tuple[WSGIServer, Thread] | None = None
        self._collector: WatchCollector | None = None
        if config.listen is None and config.textfile is None:
            return
        self._registry, self._collector = _registry(by_pid=config.by_pid)
        if config.textfile is not None:
            self._file = _checked(Path(config.textfile)) / FILE_NAME
        if config.address is not None:
            self._server = _serve(config.address, self._registry)

    def show(self, state: WatchState, book: AlertBook) -> None:
        """From now on this sample. A full disk leaves the last file as it was."""
        if self._collector is None:
            return
        from ksmrun.watch.metrics import Shown

        self._collector.shown = Shown(state, book.standing, dict(book.raised_total), time.time())
        if self._file is not None:
            _write(self._file, self._registry)

    def by_pid(self, wanted: bool) -> None:
        """Whether each process has its own line."""
        if self._collector is not None:
            self._collector.by_pid = wanted

    def close(self) -> None:
        """The file goes: an old one would look like a monitor at work."""
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(SERVER_STOP_SECONDS)
        if self._file is not None:
            self._file.unlink(missing_ok=True)


def _registry(*, by_pid: bool) -> tuple[CollectorRegistry, WatchCollector]:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        raise KsmrunError(
            "metrics need prometheus-client", "pip install 'ksmrun[monitor]'"
        ) from error
    from ksmrun.watch.metrics import WatchCollector

    registry, collector = CollectorRegistry(), WatchCollector(by_pid=by_pid)
    registry.register(collector)
    return registry, collector


def _serve(address: tuple[str, int], registry: CollectorRegistry) -> tuple[WSGIServer, Thread]:
    from prometheus_client import start_http_server

    host, port = address
    try:
        return start_http_server(port, host, registry)
    except OSError as error:
        raise KsmrunError(
            f"cannot listen on {host}:{port}: {error.strerror or error}",
            "another program has it (`ss -ltnp`), or it is no address of this host; choose another "
            "with --listen",
        ) from error


def _checked(folder: Path) -> Path:
    probe = folder / f".{FILE_NAME}.probe"
    try:
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise KsmrunError(
            f"cannot write to {folder}: {error.strerror}",
            "name the folder of node_exporter's --collector.textfile.directory in --textfile",
        ) from error
    return folder


def _write(file: Path, registry: CollectorRegistry) -> None:
    from prometheus_client import generate_latest

    temporary = file.with_name(f".{file.name}.new")
    try:
        temporary.write_bytes(generate_latest(registry))
        temporary.replace(file)
    except OSError:
        temporary.unlink(missing_ok=True)
