"""Notice one patient whose name stands with its accents, without them, and garbled: MÜLLER, MUELLER, MÃ¼LLER."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import permutations

from mammogan.data.cohort.identifiers import first_lines, spelling_free, who_and_where

WESTERN = ("cp1252", "cp1250", "cp850", "mac_roman")
OF_ONE_BYTE = [*permutations(WESTERN, 2)]
"""In which encoding a text was read, and in which it was written."""
READ_AS = (*WESTERN, "cp437", "cp1251", "cp932", "gbk", "big5", "cp949")
"""Encodings in which programs read UTF-8."""
AS_BYTES = str.maketrans({bytes([code]).decode("cp1252", "ignore") or chr(code): chr(code) for code in range(128, 160)})
"""The letters of cp1252 by the number of their byte; programs read the numbers without a letter too."""
MOST_TIMES = 2
"""How often an export is taken to have garbled a text one upon the other."""
TRANSCRIBED = str.maketrans({"ä": "ae", "ö": "oe", "ü": "ue", "å": "aa", "ø": "oe", "æ": "ae", "œ": "oe", "þ": "th"})
"""Two letters for one, as in passports."""
BARE = str.maketrans({"ø": "o", "æ": "a", "œ": "o", "ł": "l", "đ": "d", "ð": "d", "ħ": "h", "ı": "i"})
"""Letters that Unicode does not divide into a letter and an accent."""
FOREIGN = re.compile(r"[^\x00-\x7f]+")
LOST = re.compile(r"[?\ufffd]+")
"""What stands in the place of letters that an encoding does not have."""


def accent_warnings(patients: Iterable[tuple[int, str]]) -> list[str]:
    """Return at most one warning: how many patients have two identifiers of which one has lost accents, and two rows.

    ``patients``: the line and the patient of each row. It is no fault, because two women may be called so. Two
    identifiers are only taken for one if what could become of the first is the second, so no number is warned of.
    """
    lines: dict[str, int] = {}
    names: dict[str, str] = {}
    for patient, line in first_lines(patients).items():
        lines.setdefault(spelling_free(patient), line)
        if not patient.isascii():
            names.setdefault(spelling_free(patient), patient)
    lost = {LOST.sub("?", spelling): spelling for spelling in lines if LOST.search(spelling)}
    twice = set()
    for spelling, name in names.items():
        others = {lost.get(possible, possible) for possible in _possible(name)} - {spelling}
        twice |= {tuple(sorted((lines[spelling], lines[other]))) for other in others if other in lines}
    if not twice:
        return []
    who, where = who_and_where(len(twice), min(twice))
    return [
        f"{who} identifiers that differ only in accents or in letters that a wrong encoding changed, such as "
        f"M\u00dcLLER, MUELLER and M\u00c3\u00bcLLER ({where}): one woman? She can be in two splits; if she is one, "
        "give all her rows one identifier"
    ]


def _possible(name: str) -> Iterator[str]:
    """Yield the spellings that a name with letters other than the 26 may have in another export."""
    if not all(map(str.isalpha, "".join(FOREIGN.findall(name)))):  # else one letter may have become another anywhere
        yield from (spelling_free(text) for encodings in OF_ONE_BYTE for text in _read_again(name, *encodings))
    for right in {name, *_of_utf_8(name, MOST_TIMES)}:
        spelling = spelling_free(right)
        yield from (spelling, _bare(spelling), _bare(spelling.translate(TRANSCRIBED)), FOREIGN.sub("?", spelling))


def _of_utf_8(text: str, times: int) -> Iterator[str]:
    """Yield what a text may have been that was written in UTF-8 and read in other encodings."""
    for wrong in READ_AS if times else ():
        for right in _read_again(text, wrong, "utf-8"):
            yield right
            yield from _of_utf_8(right, times - 1)


def _read_again(text: str, wrong: str, right: str) -> Iterator[str]:
    """Yield a text in its right encoding, and nothing if it cannot be written in it or was not garbled."""
    try:
        read = text.translate(AS_BYTES).encode("latin-1") if wrong == "cp1252" else text.encode(wrong)
        if (repaired := read.decode(right)) != text:
            yield repaired
    except UnicodeError:
        pass


def _bare(spelling: str) -> str:
    """Return a spelling without the accents of Latin letters; in other scripts they make other letters."""
    letters = (unicodedata.normalize("NFD", letter) for letter in spelling.translate(BARE))
    return "".join(parts[0] if parts[0].isascii() else unicodedata.normalize("NFC", parts) for parts in letters)
