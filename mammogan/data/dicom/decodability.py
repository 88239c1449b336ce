"""Find out, before a conversion starts, how the pixels of all files are stored and whether they can be decoded here.

Only the first bytes of each file are read, which declare its transfer syntax.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from mammogan.data.dicom.decoders import Decoding, decoding_of, is_standard
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.usable import MOST_BYTES
from mammogan.io.terminal import track

UNREAD = ""
"""Used instead of a transfer syntax when none is declared, or when the file is not DICOM or cannot be read."""
SECONDS = 30.0
THREADS = 8
RECENT_SYNTAX_NAMES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Names of recent transfer syntaxes, which pydicom may not know."""


@dataclass(frozen=True)
class Decodability:
    """Number of files per transfer syntax, and number of files not examined because their disk did not answer."""

    syntaxes: Counter[str]
    not_looked_at: int = 0

    @property
    def all_decodable(self) -> bool:
        """Whether every file was examined and can be decoded."""
        return not self.not_looked_at and all(_decoding(syntax).possible for syntax in self.syntaxes)

    def lines(self) -> Iterator[str]:
        """Report what can be decoded and by which package, then one line per syntax that cannot be decoded."""
        able = {s: n for s, n in self.syntaxes.most_common() if _decoding(s).possible}
        shown = ", ".join(f"{number} {_named(syntax)}{_by(syntax)}" for syntax, number in able.items())
        found, total = sum(able.values()), self.syntaxes.total()
        how_many = f"all {total}" if found == total else f"{found} of {total}"
        yield f"doctor: {how_many} files can be decoded" + (f": {shown}" if shown else "")
        for syntax, number in self.syntaxes.most_common():
            if syntax == UNREAD:
                yield f"doctor: {number} cannot be read or do not say how they store pixels, will be left out"
            elif syntax not in able:
                what = f"{number} {_named(syntax)} cannot be decoded here, will be left out (decode_failed)"
                yield f"doctor: {what}: {_decoding(syntax).mend}"
        if self.not_looked_at:
            yield f"doctor: {self.not_looked_at} were not looked at, because their disk does not answer in time"


def examine(paths: Sequence[Path], seconds: float = SECONDS) -> Decodability:
    """Count the files by transfer syntax. Never raises.

    When no file could be read for ``seconds``, the remaining files are not examined: the conversion tries them one by
    one and gives up on each separately.
    """
    with quiet_pydicom():
        answers = _looked_at(paths, seconds)
        syntaxes = Counter(track(answers, len(paths), "transfer syntaxes read"))
    return Decodability(syntaxes, len(paths) - syntaxes.total())


def _looked_at(paths: Sequence[Path], seconds: float) -> Iterator[str]:
    waiting: SimpleQueue[Path] = SimpleQueue()
    answers: SimpleQueue[str] = SimpleQueue()
    for path in paths:
        waiting.put(path)
    given_up = Event()

    def look() -> None:
        with suppress(Empty):
            while not given_up.is_set():
                answers.put(transfer_syntax(waiting.get_nowait()))

    # Several threads, because a network folder is slow for each file; daemons, because a dead folder never answers.
    for _ in range(min(THREADS, len(paths))):
        Thread(target=look, daemon=True).start()
    try:
        with suppress(Empty):
            for _ in paths:
                yield answers.get(timeout=seconds)
    finally:  # from now on only the conversion should read from the disk
        given_up.set()


def transfer_syntax(path: Path) -> str:
    """Return the UID of the transfer syntax that a file declares, or UNREAD."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:  # reading a pipe would block for ever
            return UNREAD
        return _declared(read_file_meta_info(path))
    except Exception:  # the conversion reports what is wrong with the file
        return UNREAD


def _declared(meta: Dataset) -> str:
    """Return the raw value in the file: when pydicom converts a value, its warnings quote it, in every thread."""
    value = meta.get_item("TransferSyntaxUID").value if "TransferSyntaxUID" in meta else UNREAD
    return value.decode("ascii", "replace").rstrip("\0 ") if isinstance(value, bytes) else str(value or UNREAD)


def _decoding(syntax: str) -> Decoding:
    return Decoding(False) if syntax == UNREAD else decoding_of(syntax)


def _named(syntax: str) -> str:
    """Return the syntax's name in the standard. A private one may hold any text and is not shown."""
    return RECENT_SYNTAX_NAMES.get(syntax) or (
        UID(syntax).name if is_standard(syntax) else "in a private transfer syntax"
    )


def _by(syntax: str) -> str:
    by = _decoding(syntax).by
    return f" ({by})" if by else ""
