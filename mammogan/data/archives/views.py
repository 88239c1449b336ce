"""Read views and sides from codes, texts and file names (DICOM CID 4014 and 4015; SNOMED CT and the older SRT)."""

from __future__ import annotations

import re
from collections.abc import Iterator

from mammogan.data.dicom.sides import SIDES

VIEW_CODES = {
    "399162004": "CC", "R-10242": "CC",
    "399368009": "MLO", "R-10226": "MLO",
    "399260004": "ML", "R-10224": "ML",
    "399352003": "LM", "R-10228": "LM",
    "399099002": "LMO", "R-10230": "LMO",
    "399196006": "FB", "R-10244": "FB",
    "399188001": "SIO", "441555000": "ISO",
    "399192008": "XCCL", "R-1024A": "XCCL", "Y-X1770": "XCCL",
    "399101009": "XCCM", "R-1024B": "XCCM",
    "127457009": "SPECIMEN", "G-8310": "SPECIMEN",
}  # fmt: skip
MEANINGS = {
    "craniocaudal": "CC",
    "mediolateraloblique": "MLO",
    "mediolateral": "ML",
    "lateromedial": "LM",
    "lateromedialoblique": "LMO",
    "caudocranial": "FB",
    "exaggeratedcraniocaudallaterally": "XCCL",
    "exaggeratedcraniocaudalmedially": "XCCM",
}
OF_ANY_VIEW = re.compile(r"\b(left|right|views?|projections?|breasts?|mammogra(m|phy|phic)|images?)\b")
"""Words that the meanings of all views may have."""
VIEWS = {*VIEW_CODES.values(), "AT", "CV", "XCC", "TAN"}
TOKEN = re.compile(r"[A-Z0-9]+")
PIECES = re.compile(r"[^\W_]+|[^\w\s,.;:()/+*#-]")
"""Words, and signs that say that something else stands there."""
WORD = re.compile(r"([A-Z]+)\d{0,2}")


def view_in(text: str) -> str:
    """Return the view that a text such as 'RIGHT CC', 'LMLO' or '1234_L_CC_1.dcm' names; empty if none or several."""
    return _only({view for _, view in _words(text) if view})


def laterality_in(text: str) -> str:
    """Return the side, L or R, that a text names; empty if none or both."""
    return _only({side for side, _ in _words(text) if side})


def is_of_one_view(words: str) -> bool:
    """Return whether every word is a side, a view or a number, and they name one side and one view at most.

    Between words there may be spaces and usual signs, but no '?', which often stands for letters that were lost.
    """
    meant = [*_words(words)]
    unknown = [one for one in PIECES.findall(words) if not one.isdecimal() and not any(_meant(one.upper()))]
    return not unknown and all(len({clue[kind] for clue in meant if clue[kind]}) <= 1 for kind in (0, 1))


def view_meant(meaning: str) -> str:
    """Return the view that a CodeMeaning such as 'medio-lateral oblique' or 'left MLO' names; empty if not known."""
    words = OF_ANY_VIEW.sub(" ", meaning.lower())
    return MEANINGS.get(re.sub(r"[^a-z]", "", words), "") or (view_in(words) if is_of_one_view(words) else "")


def laterality_of_orientation(orientation: tuple[str, ...]) -> str:
    """Return the side from PatientOrientation (row, column): A with R is a left breast, P with L a right one.

    Any other value gives an empty string, because some archives write the view into this attribute.
    """
    if len(orientation) != 2 or not all(re.fullmatch(r"[APRLHF]{1,3}", part) for part in orientation):
        return ""
    row, column = orientation
    if row[0] == "A" and "R" in column:
        return "L"
    return "R" if row[0] == "P" and "L" in column else ""


def clues_in_name(path: str) -> tuple[str, str]:
    """Return side and view from a file's name and folders; the side counts only if they name a view too.

    What the file's own name says is never changed by a folder, such as one of a person or a place: ML/1_L_CC.dcm. A
    letter beside other words is no side in a folder's name, where it may be an initial: Meier_L.
    """
    *folders, name = path.split("/")
    view = view_in(name) or view_in(path)
    side = laterality_in(name) or laterality_in(" ".join([*map(_without_initials, folders), name]))
    return (side if view else "", view)


def _without_initials(folder: str) -> str:
    """Return a folder's name without a lone L or R beside other words, of which none is a view or a side."""
    words = TOKEN.findall(folder.upper())
    is_of_side = any(view or (side and len(word) > 2) for word in words for side, view in [_meant(word)])
    is_alone = all(word.isdecimal() or any(_meant(word)) for word in PIECES.findall(folder.upper()))
    if is_of_side or is_alone:
        return folder
    return " ".join(word for word in words if word.rstrip("0123456789") not in ("L", "R"))


def _words(text: str) -> Iterator[tuple[str, str]]:
    return (_meant(token) for token in TOKEN.findall(text.upper()))


def _meant(token: str) -> tuple[str, str]:
    """Return side and view of a word; either may be empty. LM and LMO are views, LML and LMLO a side and a view."""
    word = match[1] if (match := WORD.fullmatch(token)) else ""
    if word in VIEWS:
        return "", word
    if word in SIDES:
        return SIDES[word], ""
    return (word[0], word[1:]) if word[:1] in SIDES and word[1:] in VIEWS else ("", "")


def _only(values: set[str]) -> str:
    return next(iter(values)) if len(values) == 1 else ""
