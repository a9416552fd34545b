"""Shows the metrics: over HTTP, or in a file for node_exporter."""

from __future__ import annotations

import contextlib
import os
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from ksmrun.host.lock import lock_folder
from ksmrun.model import KsmrunError
from ksmrun.model.watch import WatchState
from ksmrun.support.safefile import create_file, replace_in, temporary_name
from ksmrun.watch.book import AlertBook
from ksmrun.watch.config import Config

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ksmrun.watch.metrics import WatchCollector

FILE_NAME = "ksmrun.prom"
# node_exporter runs as a user of its own, and root's umask may be 077.
MODE = 0o644
SERVER_STOP_SECONDS = 1.0


class Show:
    """Shows nothing until it is told where."""

    def __init__(self) -> None:
        self._file: Path | None = None
        # Held open, and so locked.
        self._folder: int | None = None
        self._server: tuple[WSGIServer, Thread] | None = None
        self._address: tuple[str, int] | None = None
        self._metrics: tuple[CollectorRegistry, WatchCollector] | None = None

    def set_up(self, config: Config) -> None:
        """From now on there. Raises KsmrunError, and all stays as it was: where prometheus-client
        is missing, the address or the folder is another monitor's, or cannot be had.
        """
        metrics = self._metrics
        if metrics is None and (config.listen or config.textfile):
            metrics = _registry()
        file = None if config.textfile is None else Path(config.textfile) / FILE_NAME
        moves = file != self._file
        folder = _locked(file.parent) if moves and file is not None else None
        address, server = config.address, self._server
        if address != self._address:
            try:
                server = None if address is None or metrics is None else _serve(address, metrics[0])
            except KsmrunError:
                _unlock(folder)
                raise
            self._stop()
        if moves:
            self._forget()
            self._file, self._folder = file, folder
        self._metrics = metrics
        self._address, self._server = address, server
        if metrics is not None:
            metrics[1].by_pid = config.by_pid

    def show(self, state: WatchState, book: AlertBook) -> str:
        """From now on this sample. A full disk leaves the last file as it was; returns what is
        wrong, empty for nothing.
        """
        if self._metrics is None:
            return ""
        from ksmrun.watch.metrics import Shown

        registry, collector = self._metrics
        collector.shown = Shown(state, book.standing, dict(book.raised_total), time.time())
        if self._file is None or self._folder is None:
            return ""
        return _write(self._file, self._folder, registry)

    def close(self) -> None:
        """The file goes: an old one would look like a monitor at work."""
        self._stop()
        self._forget()

    def _forget(self) -> None:
        """A folder that has become read-only keeps its file; nothing more can be done."""
        if self._file is not None and self._folder is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._file.name, dir_fd=self._folder)
        _unlock(self._folder)
        self._file = self._folder = None

    def _stop(self) -> None:
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(SERVER_STOP_SECONDS)
            self._server = None


def _registry() -> tuple[CollectorRegistry, WatchCollector]:
    try:
        from prometheus_client import CollectorRegistry
    except ImportError as error:
        raise KsmrunError(
            "metrics need prometheus-client", "pip install 'ksmrun[monitor]'"
        ) from error
    from ksmrun.watch.metrics import WatchCollector

    registry, collector = CollectorRegistry(), WatchCollector()
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


def _locked(folder: Path) -> int:
    """Its descriptor, which keeps another monitor from the same file. Raises KsmrunError."""
    _check(folder)
    descriptor = lock_folder(folder)
    if descriptor is None:
        raise KsmrunError(
            f"another monitor writes to {folder}", "one for the host is enough; end that one"
        )
    return descriptor


def _unlock(descriptor: int | None) -> None:
    if descriptor is not None:
        os.close(descriptor)


def _check(folder: Path) -> None:
    probe = folder / temporary_name(FILE_NAME)
    try:
        create_file(probe, b"", 0o600)
        probe.unlink()
    except OSError as error:
        raise KsmrunError(
            f"cannot write to {folder}: {error.strerror}",
            "name the folder of node_exporter's --collector.textfile.directory in --textfile",
        ) from error


def _write(file: Path, folder: int, registry: CollectorRegistry) -> str:
    """The folder may be of another user, who must not lead this elsewhere."""
    from prometheus_client import generate_latest

    try:
        replace_in(folder, file.name, generate_latest(registry), MODE)
    except OSError as error:
        return f"cannot write {file}: {error.strerror}; its figures are old until then"
    return ""
