"""A real Firefox that reads like a radiologist: by keys, through Marionette, which every Firefox has built in.

Playwright drives a Firefox of its own making only. Marionette is a socket with messages LENGTH:JSON, [0, number,
command, parameters] there and [1, number, error, result] back.
"""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
needs_firefox = pytest.mark.skipif(not FIREFOX, reason="no Firefox: tests/packages.sh installs it")
PATIENCE_S = 90.0
KEYS = {"Enter": "\ue007", "Tab": "\ue004", "Backspace": "\ue003"}
PREFERENCES = {"marionette.port": 0, "datareporting.policy.dataSubmissionEnabled": False}
ERRORS = """return Services.console.getMessageArray()
  .filter(one => one instanceof Ci.nsIScriptError && !(one.flags & Ci.nsIScriptError.warningFlag))
  .filter(one => one.sourceName.startsWith(arguments[0])).map(one => one.errorMessage)"""


def until(condition: Callable[[], Any], words: str) -> Any:
    """Wait for a condition and return what it found."""
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end:
        if found := condition():
            return found
        time.sleep(0.05)
    raise AssertionError(f"Firefox: {words}")


class Firefox:
    """One Firefox with one tab, and the steps of a reader in it (browsers.Screen has the same for Chromium)."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S)
        self._file, self._count = self._socket.makefile("rb"), 0
        assert self._received()["applicationType"] == "gecko"
        self.command("WebDriver:NewSession", capabilities={})
        self.command("WebDriver:SetWindowRect", width=1200, height=900)

    def _received(self) -> Any:
        length = b""
        while (one := self._file.read(1)) != b":":
            assert one, "Firefox ended"
            length += one
        return json.loads(self._file.read(int(length)))

    def command(self, name: str, **parameters: Any) -> Any:
        self._count += 1
        message = json.dumps([0, self._count, name, parameters]).encode()
        self._socket.sendall(b"%d:%s" % (len(message), message))
        _, number, error, result = self._received()
        assert number == self._count and not error, error
        return result

    def goto(self, url: str) -> None:
        self.command("WebDriver:Navigate", url=url)

    def script(self, text: str, *values: Any) -> Any:
        """What a function body returns in the page."""
        return self.command("WebDriver:ExecuteScript", script=text, args=list(values))["value"]

    def url(self) -> str:
        return str(self.command("WebDriver:GetCurrentURL")["value"])

    def errors(self, address: str) -> list[str]:
        """Errors of scripts and of the content security policy, in pages of this address; no warnings."""
        self.command("Marionette:SetContext", value="chrome")
        found = self.script(ERRORS, address)
        self.command("Marionette:SetContext", value="content")
        return list(found)

    def at_page(self, name: str) -> None:
        """Wait for a page of text, and for its buttons to work."""
        until(lambda: self.script("return document.documentElement.dataset.page") == name, f"no page {name}")
        time.sleep(0.35)

    def at_place(self, progress: str) -> None:
        """Wait for an image whose progress is this, and for its keys to work."""
        until(lambda: self.script("return document.documentElement.dataset.shown") == progress, f"not at {progress}")
        time.sleep(0.35)

    def press(self, *keys: str) -> None:
        actions = [{"type": kind, "value": KEYS.get(key, key)} for key in keys for kind in ("keyDown", "keyUp")]
        self.command("WebDriver:PerformActions", actions=[{"type": "key", "id": "keys", "actions": actions}])

    def through(self, *names: str) -> None:
        """Press Enter on these pages of text; on the check of the screen choose the first answer before."""
        for name in names:
            self.at_page(name)
            self.press(*(["Tab"] if name == "display" else []), "Enter")


@contextmanager
def firefox(profile: Path) -> Iterator[Firefox]:
    """A Firefox without a window, with a profile of its own."""
    lines = [f'user_pref("{name}", {json.dumps(value)});' for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines), encoding="utf-8")
    words = [str(FIREFOX), "--headless", "--marionette", "--remote-allow-system-access", "--profile", str(profile)]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    chosen = profile / "MarionetteActivePort"
    try:
        port = until(lambda: chosen.is_file() and chosen.read_text(), "does not start")
        yield Firefox(int(port))
    finally:
        process.kill()
        process.wait()
