"""A server of a reading folder in this process, and one in a process of its own."""

from __future__ import annotations

import os
import socket
import sqlite3
import ssl
import subprocess
import sys
import time
from typing import Any

import httpx2
from reading_clients import Client, links_of
from starlette.testclient import TestClient

from mammogan.reader.folder import ReadingFolder
from mammogan.reader.serving.database import DATABASE, connect
from mammogan.reader.serving.links import Links
from mammogan.reader.serving.server import application
from mammogan.reader.serving.store import Store


class Served:
    """The application on a folder, asked without a network."""

    def __init__(self, folder: ReadingFolder, address: str = "http://127.0.0.1:8000") -> None:
        self.folder, self.plan = folder, folder.load()
        self.store = Store(connect(folder.path / DATABASE, self.plan))
        self.links = Links(folder.path, self.store, self.plan.readers, address)
        self.links.prepare()
        self.app = application(folder, self.plan, self.store, self.links, frozenset({"localhost"}))
        self.address = address

    def browser(self) -> TestClient:
        return TestClient(self.app, base_url=self.address, follow_redirects=False, raise_server_exceptions=False)

    def reader(self, name: str = "R1") -> Client:
        return Client(self.browser(), links_of(self.folder)[name])


class Process:
    """``python -m mammogan.reader`` on a folder; it can be killed and started again on the same port."""

    def __init__(self, folder: ReadingFolder, *words: str, trusted: ssl.SSLContext | None = None) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.folder, self.words = folder, words
        self.trusted = trusted
        self.address = f"{'https' if trusted else 'http'}://127.0.0.1:{self.port}"
        self.log = folder.path.parent / "server.log"
        self.start()

    def start(self) -> None:
        line = [sys.executable, "-m", "mammogan.reader", str(self.folder.path), "--port", str(self.port), *self.words]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(line, stdout=log, stderr=log, env=os.environ | {"PYTHONUNBUFFERED": "1"})
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                httpx2.get(self.address, timeout=5, verify=self.trusted or True)
                return
            except httpx2.HTTPError:
                assert self.process.poll() is None, self.log.read_text()
                time.sleep(0.05)
        raise AssertionError("the server did not start")

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def reader(self, name: str = "R1") -> Client:
        return Client(httpx2.Client(base_url=self.address, timeout=30), links_of(self.folder)[name])


def rows(process: Process, query: str) -> list[tuple[Any, ...]]:
    """What is in the server's database now."""
    with sqlite3.connect(process.folder.path / DATABASE) as database:
        return database.execute(query).fetchall()
