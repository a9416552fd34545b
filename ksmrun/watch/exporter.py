"""Export metrics: over HTTP, or in a file for node_exporter."""

from __future__ import annotations

import errno
import time
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from ksmrun.model.errors import EXIT_USAGE, KsmrunError
from ksmrun.model.watch import WatchState
from ksmrun.support.advice import require_module
from ksmrun.watch.alerts import AlertBook
from ksmrun.watch.config import Config
from ksmrun.watch.textfile import Textfile

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry

    from ksmrun.watch.metrics import WatchCollector

SERVER_STOP_SECONDS = 1.0


class Exporter:
    """Exporter of metrics; it exports nothing until set_up()."""

    def __init__(self) -> None:
        self._file: Textfile | None = None
        self._textfile: str | None = None
        self._server: tuple[WSGIServer, Thread] | None = None
        self._address: tuple[str, int] | None = None
        self._metrics: tuple[CollectorRegistry, WatchCollector] | None = None

    def set_up(self, config: Config) -> None:
        """Export there from now on.

        Raises KsmrunError, and leaves all as it was, if prometheus-client is missing, or if the
        address or folder belongs to another monitor or cannot be used.
        """
        metrics = self._metrics
        if metrics is None and (config.listen or config.textfile):
            metrics = _registry()
        folder, file = config.textfile, self._file
        moves = folder != self._textfile
        if moves:
            file = None if folder is None else Textfile(Path(folder))
        address, server = config.address, self._server
        if address != self._address:
            try:
                server = None if address is None or metrics is None else _serve(address, metrics[0])
            except KsmrunError:
                if moves and file is not None:
                    file.close()
                raise
            self._stop()
        if moves:
            self._forget()
            self._file, self._textfile = file, folder
        self._metrics = metrics
        self._address, self._server = address, server
        if metrics is not None:
            metrics[1].by_pid = config.by_pid

    def export(self, state: WatchState, book: AlertBook) -> str:
        """Export this sample from now on. Return the error; empty for none.

        A full disk leaves the last file as it was.
        """
        if self._metrics is None:
            return ""
        from ksmrun.watch.metrics import Shown

        registry, collector = self._metrics
        collector.shown = Shown(state, book.standing, dict(book.raised_total), time.time())
        if self._file is None:
            return ""
        from prometheus_client import generate_latest

        return self._file.write(generate_latest(registry))

    def close(self) -> None:
        """Remove the file: an old one would look like a running monitor."""
        self._stop()
        self._forget()

    def _forget(self) -> None:
        if self._file is not None:
            self._file.close()
        self._file = None

    def _stop(self) -> None:
        if self._server is not None:
            server, thread = self._server
            server.shutdown()
            server.server_close()
            thread.join(SERVER_STOP_SECONDS)
            self._server = None


def _registry() -> tuple[CollectorRegistry, WatchCollector]:
    need = "--listen and --textfile need prometheus-client"
    require_module("prometheus_client", need, "monitor", EXIT_USAGE)
    from prometheus_client import CollectorRegistry

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
            f"cannot listen on {host}:{port}: {error.strerror or error}", _listen_todo(error, port)
        ) from error


def _listen_todo(error: OSError, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        see = f"see which program has the port (ss -ltnp 'sport = {port}')"
        return f"{see}, or give another with --listen"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "give a port from 1024 on, as lower ones need root or CAP_NET_BIND_SERVICE"
    return "give an address of this host with --listen, such as 127.0.0.1; `ip address` lists them"
