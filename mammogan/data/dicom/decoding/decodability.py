"""Find out, before a conversion starts, how the pixels of all files are stored and whether they can be decoded here.

Only the first bytes of each file are read, which declare its transfer syntax. On request some files of each transfer
syntax are decoded as well, because a header can be wrong.
"""

from __future__ import annotations

import stat
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread

from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pydicom.uid import UID

from mammogan.data.dicom.decoding.decode import decode
from mammogan.data.dicom.decoding.decoders import EXTRA, GPL, Decoding, decoding_of, is_standard
from mammogan.data.dicom.kind import read
from mammogan.data.dicom.quiet import quiet_pydicom
from mammogan.data.dicom.unusable import Unusable
from mammogan.data.dicom.usable import MOST_BYTES
from mammogan.data.parallel.pool import Lost, in_order
from mammogan.io.terminal import track

UNREAD = ""
"""Used instead of a transfer syntax when none is declared, or when the file is not DICOM or cannot be read."""
SECONDS = 30.0
THREADS = 8
TRIES = 5
"""Number of files of each transfer syntax that the doctor decodes."""
SECONDS_A_FILE = 60.0
FAULTS = ("decode_failed", "truncated", "out_of_memory")
"""Reasons that concern the decoding; whether a file is a mammogram is not the doctor's question."""
RECENT_SYNTAX_NAMES = {
    "1.2.840.10008.1.2.4.110": "JPEG XL Lossless",
    "1.2.840.10008.1.2.4.111": "JPEG XL JPEG Recompression",
    "1.2.840.10008.1.2.4.112": "JPEG XL",
}
"""Names of recent transfer syntaxes, which pydicom may not know."""


@dataclass(frozen=True)
class Decodability:
    """Number of files per transfer syntax, and number of files not examined because their disk did not answer.

    ``tried``: how many files were decoded. ``failed``: how many of them could not be, by transfer syntax and reason.
    """

    syntaxes: Counter[str]
    not_looked_at: int = 0
    tried: int = 0
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)

    @property
    def all_decodable(self) -> bool:
        """Whether every file was examined and can be decoded, and every one that was tried was decoded."""
        return (
            not self.not_looked_at and not self.failed and all(_decoding(syntax).possible for syntax in self.syntaxes)
        )

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
        yield from self._extra(able)
        if self.tried:
            yield f"doctor: {self.tried} were tried, {self.tried - self.failed.total()} of them were decoded"
        for (syntax, reason), number in sorted(self.failed.items()):
            yield f"doctor: {number} {_named(syntax)} of those tried cannot be decoded, will be left out ({reason})"
        if self.not_looked_at:
            yield f"doctor: {self.not_looked_at} were not looked at, because their disk does not answer in time"

    @staticmethod
    def _extra(able: dict[str, int]) -> Iterator[str]:
        """Report the files that need the package under the GPL."""
        of = [f"{number} {_named(syntax)}" for syntax, number in able.items() if _decoding(syntax).by.startswith(GPL)]
        if of:
            yield f"doctor: {', '.join(of)} need {GPL}, which is GPL-3.0 and an extra: {EXTRA}"


def examine(paths: Sequence[Path], seconds: float = SECONDS, tries: int = 0) -> Decodability:
    """Count the files by transfer syntax, and decode ``tries`` files of each. Never raises.

    When no file could be read for ``seconds``, the remaining files are not examined: the conversion tries them one by
    one and gives up on each separately.
    """
    with quiet_pydicom():
        answers = dict(track(_looked_at(paths, seconds), len(paths), "transfer syntaxes read"))
    syntaxes = Counter(answers[number] for number in sorted(answers))
    tried = [paths[number] for syntax in syntaxes for number in _spread(answers, syntax, tries)]
    failed = [(transfer_syntax(path), reason) for path, reason in _tried(tried) if reason]
    return Decodability(syntaxes, len(paths) - syntaxes.total(), len(tried), Counter(failed))


def _spread(answers: dict[int, str], syntax: str, tries: int) -> list[int]:
    """Choose the numbers of ``tries`` files of one syntax from all over the table; none where nothing decodes it."""
    of = [number for number in sorted(answers) if answers[number] == syntax]
    if not _decoding(syntax).possible:
        return []
    return [of[place * len(of) // min(tries, len(of))] for place in range(min(tries, len(of)))]


def _tried(paths: Sequence[Path]) -> Iterator[tuple[Path, str]]:
    """Yield each path with the reason why it cannot be decoded, empty when it can: in a process, which may crash."""
    if not paths:
        return
    answers = in_order(decoding_fault, paths, 1, SECONDS_A_FILE)
    for path, answer in zip(paths, track(answers, len(paths), "files tried"), strict=True):
        crashed = "timeout" if isinstance(answer, Lost) and answer.why == "timeout" else "decoder_crashed"
        yield path, crashed if isinstance(answer, Lost) else answer


def decoding_fault(path: Path) -> str:
    """Return the reason code if the pixels of a file cannot be decoded; empty if they can, or if it has none."""
    try:
        with quiet_pydicom():
            decode(read(path), [])
    except Unusable as reason:
        return reason.code if reason.code in FAULTS else ""
    except Exception:
        return "decode_failed"
    return ""


def _looked_at(paths: Sequence[Path], seconds: float) -> Iterator[tuple[int, str]]:
    """Yield the number of a path and its transfer syntax, in the order in which they were read."""
    waiting: SimpleQueue[int] = SimpleQueue()
    answers: SimpleQueue[tuple[int, str]] = SimpleQueue()
    for number in range(len(paths)):
        waiting.put(number)
    given_up = Event()

    def look() -> None:
        with suppress(Empty):
            while not given_up.is_set():
                number = waiting.get_nowait()
                answers.put((number, transfer_syntax(paths[number])))

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
