"""A server that sends a byte a second, or headers without end, is not waited for.

A socket's own timeout begins anew with every byte. So what arrives is counted over a span of time,
and the connection is cut where that was too little, whatever is being waited for.
"""

from __future__ import annotations

import socket
from contextlib import suppress
from http.client import HTTPConnection, HTTPResponse
from threading import Event, Thread
from typing import Any
from urllib.request import BaseHandler, HTTPHandler, HTTPSHandler, Request

LEAST_RATE = 1000
"""Bytes a second; a modem brings five times that."""


class Watch:
    """Cuts the connection inside the block when a span of `seconds` brought too little."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self.is_cut = False
        self._arrived = 0
        self._connection: HTTPConnection | None = None
        self._socket: socket.socket | None = None
        self._ended = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    @property
    def handlers(self) -> list[BaseHandler]:
        """urllib's handlers that make the connections to be watched."""
        return [_Http(self), _Https(self)]

    def arrived(self, count: int) -> None:
        """Note that so many bytes have come."""
        self._arrived += count

    def watch(self, connection: HTTPConnection) -> None:
        """Watch this connection from now on; its response outlives its own hold of the socket."""
        connect = connection.connect

        def connected() -> None:
            connect()
            self._socket = connection.sock

        self._connection, self._socket = connection, None
        connection.connect = connected  # type: ignore[method-assign]

    def _watch(self) -> None:
        while not self._ended.wait(self.seconds):
            if self._arrived < LEAST_RATE * self.seconds:
                self.is_cut = True
                self._cut()
                return
            self._arrived = 0

    def _cut(self) -> None:
        found: socket.socket | None = self._socket
        if found is None and self._connection is not None:
            found = self._connection.sock
        if found is not None:
            with suppress(OSError):  # of the plain socket: TLS would say goodbye first
                socket.socket.shutdown(found, socket.SHUT_RDWR)


class _Watched:
    """What both handlers have on top of urllib's."""

    def __init__(self, watch: Watch) -> None:
        super().__init__()
        self.watch = watch

    def do_open(self, http_class: Any, req: Request, **keys: Any) -> HTTPResponse:
        def watched(host: str, **arguments: Any) -> HTTPConnection:
            connection: HTTPConnection = http_class(host, **arguments)
            self.watch.watch(connection)
            return connection

        response: HTTPResponse = super().do_open(watched, req, **keys)  # type: ignore[misc]
        return response


class _Http(_Watched, HTTPHandler):
    pass


class _Https(_Watched, HTTPSHandler):
    pass
