"""Gives every reader, and the coordinator, a link of their own. The database has only hashes of the links' tokens.

The links are in links.csv (mode 600), to be handed out one by one. Whoever has a link is that reader.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from pathlib import Path

from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.atomic import PRIVATE
from mammogan.io.own_files import file_exists
from mammogan.reader.serving.store import Store

LINKS = "links.csv"
COORDINATOR = "coordinator"
"""Name of the coordinator's row in links.csv."""
PATHS = {True: "/coordinator/enter/", False: "/enter/"}
COLUMNS = ("reader", "link")


def hashed(token: str) -> bytes:
    """Return what is stored of a token, its sha256."""
    return hashlib.sha256(token.encode()).digest()


def address_in(folder: Path) -> str:
    """Return the address with which the links of a folder's links.csv begin; empty where it has no links."""
    found = [re.match(r"https?://[^/]+", link) for link in _links_of(folder / LINKS).values()]
    return next((link[0] for link in found if link), "")


def _links_of(file: Path) -> dict[str, str]:
    """Read the links by name from links.csv; none where there is no such file."""
    if not file_exists(file):
        return {}
    try:
        return {row["reader"]: row["link"] for row in tables.read_own_csv(file)}
    except (KeyError, ValueError) as error:
        raise UserError(
            f"{file} cannot be read; it needs the columns {', '.join(COLUMNS)}, separated by commas. Move it "
            "away and start again: readers keep their links, and the coordinator gets a new one"
        ) from error


class Links:
    """The file links.csv of a reading folder: one row a reader, and the coordinator's."""

    def __init__(self, folder: Path, store: Store, readers: tuple[str, ...], address: str) -> None:
        if COORDINATOR in readers:
            raise UserError(f"a reader is called {COORDINATOR}; draw the study with another name")
        self._file = folder / LINKS
        self._store, self._readers, self.address = store, readers, address.rstrip("/")

    def prepare(self) -> None:
        """Write links.csv with this server's address: tokens already given are kept, new readers get one.

        A reader whose row was deleted, as is wise after handing out, keeps the link.
        """
        tokens = self._tokens()
        tokens.setdefault(COORDINATOR, secrets.token_urlsafe(32))
        for name in self._readers:
            if not self._store.has_token(name):
                tokens[name] = secrets.token_urlsafe(32)
                self._store.give_token(name, hashed(tokens[name]))
        self._write(tokens)

    def renew(self, name: str) -> str:
        """Give a reader a new link, and return it; the old one ends at once."""
        token = secrets.token_urlsafe(32)
        self._store.give_token(name, hashed(token))
        self._write(self._tokens() | {name: token})
        return self._link(name, token)

    def revoke(self, name: str) -> None:
        """End a reader's link at once. The answers stay; ``renew`` lets the reader in again."""
        self._store.revoke(name)
        self._write({reader: token for reader, token in self._tokens().items() if reader != name})

    def is_coordinator(self, token: str) -> bool:
        """Return whether this is the token of the coordinator's link."""
        own = self._tokens().get(COORDINATOR)
        return bool(own) and secrets.compare_digest(hashed(token), hashed(own or ""))

    def _link(self, name: str, token: str) -> str:
        return f"{self.address}{PATHS[name == COORDINATOR]}{token}"

    def _tokens(self) -> dict[str, str]:
        """Return the tokens by name, as links.csv has them."""
        return {name: link.rpartition("/")[2] for name, link in _links_of(self._file).items()}

    def _write(self, tokens: dict[str, str]) -> None:
        links = [(name, self._link(name, token)) for name, token in tokens.items()]
        tables.write(self._file, COLUMNS, links, PRIVATE)
