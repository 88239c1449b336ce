"""Before the work starts: how the pixels of all files are stored, and whether they can be decoded here.

Only the first bytes of each file are read, where it declares its transfer syntax.
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

from mammogan.data.decoders import Decoding, decoding_of, is_standard
from mammogan.data.header import MOST_BYTES
from mammogan.data.quiet import quiet_pydicom
from mammogan.terminal import track

UNREAD = ""
"""In the place of a transfer syntax: none is declared, or the file is no DICOM file or cannot be read."""
SECONDS = 30.0
THREADS = 8
YOUNG = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Transfer syntaxes of whose name pydicom may not know."""


@dataclass(frozen=True)
class Diagnosis:
    """Files by transfer syntax, and how many were not looked at because their disk does not answer."""

    syntaxes: Counter[str]
    not_looked_at: int = 0

    @property
    def all_decodable(self) -> bool:
        return not self.not_looked_at and all(_decoding(syntax).possible for syntax in self.syntaxes)

    def lines(self) -> Iterator[str]:
        """What can be decoded, and by what; then a line for each syntax that cannot."""
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


def examine(paths: Sequence[Path], seconds: float = SECONDS) -> Diagnosis:
    """Look at the transfer syntax of every file; nothing is raised.

    Where no file is read for ``seconds``, the others are left to the conversion, which gives up one file at a time.
    """
    with quiet_pydicom():
        answers = _looked_at(paths, seconds)
        syntaxes = Counter(track(answers, len(paths), "transfer syntaxes read"))
    return Diagnosis(syntaxes, len(paths) - syntaxes.total())


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

    # Several at a time, since a network folder takes its time for each; daemons, since a dead one never answers.
    for _ in range(min(THREADS, len(paths))):
        Thread(target=look, daemon=True).start()
    try:
        with suppress(Empty):
            for _ in paths:
                yield answers.get(timeout=seconds)
    finally:  # the disk belongs to the conversion now
        given_up.set()


def transfer_syntax(path: Path) -> str:
    """The UID that a file declares, or UNREAD."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) or status.st_size > MOST_BYTES:  # reading a pipe would wait for ever
            return UNREAD
        return _declared(read_file_meta_info(path))
    except Exception:  # whatever is wrong with the file, its conversion will say
        return UNREAD


def _declared(meta: Dataset) -> str:
    """As it stands in the file: pydicom checks what it converts, and warns of it with its value, in any thread."""
    value = meta.get_item("TransferSyntaxUID").value if "TransferSyntaxUID" in meta else UNREAD
    return value.decode("ascii", "replace").rstrip("\0 ") if isinstance(value, bytes) else str(value or UNREAD)


def _decoding(syntax: str) -> Decoding:
    return Decoding(False) if syntax == UNREAD else decoding_of(syntax)


def _named(syntax: str) -> str:
    """Its name in the standard. Another one may be any text, and is not shown."""
    return YOUNG.get(syntax) or (UID(syntax).name if is_standard(syntax) else "in a private transfer syntax")


def _by(syntax: str) -> str:
    by = _decoding(syntax).by
    return f" ({by})" if by else ""
