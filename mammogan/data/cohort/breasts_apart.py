"""Notice one patient who has an identifier for each breast or view: P001L and P001R."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from mammogan.data.cohort.identifiers import spelling_free, who_and_where
from mammogan.data.cohort.separators import divided

LEFT = ("L", "LEFT", "LT", "LI", "LINKS", "GAUCHE", "IZQUIERDA", "IZQ", "ESQUERDA", "SINISTRA", "\u5de6")
RIGHT = ("R", "RIGHT", "RT", "RE", "RECHTS", "DROITE", "DERECHA", "DER", "DIREITA", "DESTRA", "\u53f3")
SIDES = {**dict.fromkeys(LEFT, "L"), **dict.fromkeys(RIGHT, "R")}
"""Words for a side, of several languages."""
PART = re.compile(
    rf"(?<![^\W\d_])(?=[^\W\d_])(?P<side>{'|'.join(SIDES)})?(?P<view>CC|MLO)?(?![^\W\d_])",
    re.I,
)
"""A side, a view or both, as in P001L, P001_RIGHT and P001-RCC, with no other letter before or after them."""
MANY = 5
"""So many women, and none for whom it is not so, are no chance."""
APART_HINT = (
    "one woman with an identifier for each breast or view would be several patients, in several splits: give all her "
    "rows one identifier, without the side"
)


class Shown(NamedTuple):
    """The line, the patient and what is shown of an image of a table."""

    line: int
    patient: str
    side: str
    view: str


@dataclass
class _Identifier:
    """An identifier's first line, what it says of side and view (empty: nothing), and what its images show."""

    line: int
    says: tuple[str, str] = ("", "")
    shown: set[tuple[str, str]] = field(default_factory=set)

    @property
    def is_true(self) -> bool:
        return all(said in ("", seen) for both in self.shown for said, seen in zip(self.says, both, strict=True))


def breasts_apart_warnings(images: Iterable[Shown]) -> list[str]:
    """Return at most one warning: how many patients have an identifier for each side or view, and two rows.

    Centres may be called L and R too, so nobody is named if most of such identifiers have images of another side.
    """
    women, others = _women(images)
    if len(women) <= others:
        return []
    who, where = who_and_where(len(women), min(women))
    return [
        f"{who} identifiers that differ only in the side or view, such as P001L and P001R, and each has images of its "
        f"own one only ({where}): one woman? She can be in two splits; if she is one, give all her rows one identifier"
    ]


def breasts_surely_apart(images: Iterable[Shown]) -> Sequence[tuple[int, int]]:
    """Return two lines for each such patient if there are ``MANY`` and nothing speaks against it; else nothing."""
    women, others = _women(images)
    return women if len(women) >= MANY and not others else []


def _women(images: Iterable[Shown]) -> tuple[list[tuple[int, int]], int]:
    """Return two lines for each patient who has an identifier for each side or view, and the number of those whose
    identifiers differ so, but not their images."""
    known: dict[str, _Identifier] = {}
    for image in images:
        own = known.setdefault(image.patient, _Identifier(image.line))
        own.shown.add((image.side, image.view))
    found: defaultdict[str, list[_Identifier]] = defaultdict(list)
    for patient, own in known.items():
        stem, own.says = _parts(patient)
        if stem:
            found[stem].append(own)
    groups = [*found.values()]
    women = [group for group in groups if len({identifier.says for identifier in group}) > 1]
    true = [group for group in women if all(identifier.is_true for identifier in group)]
    return [_two_lines(group) for group in true], len(women) - len(true)


def _two_lines(group: Sequence[_Identifier]) -> tuple[int, int]:
    first, second = sorted(identifier.line for identifier in group)[:2]
    return first, second


def _parts(patient: str) -> tuple[str, tuple[str, str]]:
    """Return an identifier without the last side and the last view that it names, and these two; without an identifier
    if it names none."""
    said = {"side": "", "view": ""}
    for match in reversed([*PART.finditer(patient)]):
        names = {name: text for name, text in match.groupdict().items() if text}
        if names and not any(said[name] for name in names):
            said |= names
            patient = f"{patient[: match.start()]} {patient[match.end() :]}"
    rest = spelling_free(divided(patient)) if any(said.values()) else ""
    return rest, (SIDES.get(said["side"].upper(), ""), said["view"].upper())
