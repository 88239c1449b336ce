"""Read what an episode of an OMI-DB client says of one breast: the opinions of surgery and of both kinds of biopsy.

Nothing that may be an opinion is taken for none: one under a name or in a form that is not known is remembered.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from mammogan.data.archives.labels import Finding
from mammogan.data.archives.tables import Cells

PATHOLOGY = ("SURGERY", "BIOPSYWIDE", "BIOPSYFINE")
OTHER_EVENTS = ("SCREENING", "OTHERSCREENING", "ASSESSMENT", "CLINICAL", "LESION", "INTERVALCANCER")
"""Events whose opinions are no pathology."""
SIDES = {"L": "left_opinion", "R": "right_opinion"}
INTERVAL = ("ci", "interval case", "interval cancer")
KINDS = {
    "ca": "continued assessment", "cd": "delayed treatment", "cf": "follow-up after treatment",
    "cr": "local recurrence", "f": "first call", "g": "gp referral", "h": "higher risk", "n": "non-routine recall",
    "r": "routine recall", "s": "self referral", "x": "other", "non-rout recall": "non-routine recall",
}  # fmt: skip
"""Kinds of episodes other than interval cancers, as the screening service writes them."""
MALIGNANT, BENIGN, OTHER = ("om", "malignant"), ("ob", "benign"), ("on", "normal", "")
NAMES = {
    re.sub(r"[\W_]", "", name).lower(): name
    for name in (*PATHOLOGY, *OTHER_EVENTS, *SIDES, *SIDES.values(), "EpisodeType", "EpisodeID", "STUDIES")
}
"""Every name that is read, by its letters."""


def by_known_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of a JSON file with each known name in its usual spelling, whatever capitals and signs it has.

    Raises ValueError if the object holds one name twice with different values: nobody knows which of them counts.
    """
    held: dict[str, Any] = {}
    for name, value in pairs:
        usual = NAMES.get(re.sub(r"[\W_]", "", name).lower(), name)
        if usual in held and held[usual] != value:
            raise ValueError(f"{usual} twice in one object")
        held[usual] = value
    return held


def opinions_of(episode: dict[str, Any], side: str) -> Cells:
    """Return the opinions of surgery and biopsies on one side, in lower case; they remember what is not understood."""
    opinions = Cells({event: _opinion(episode.get(event), side) for event in PATHOLOGY})
    for event in PATHOLOGY:
        opinions.word(event, dict.fromkeys((*MALIGNANT, *BENIGN, *OTHER), ""), "")
    for name, value in episode.items():
        if name not in (*PATHOLOGY, *OTHER_EVENTS, "EpisodeType") and _may_decide(name, value):
            opinions.unread["an event of another name"] = name
    return opinions


def finding_of(episode: dict[str, Any], opinions: Cells) -> Finding:
    """Return what an episode says of one side, by its opinions; they note a kind that is not understood."""
    is_interval = _is_interval(episode, opinions)
    if any(opinion in MALIGNANT for opinion in opinions.values()):
        return "interval" if is_interval else "cancer"
    if any(opinion in BENIGN for opinion in opinions.values()):
        return "benign"
    if is_interval or episode.get("SURGERY"):
        return "uncertain"
    if episode.get("ASSESSMENT"):
        return "recalled"
    return "normal" if episode.get("SCREENING") else "unknown"


def _is_interval(episode: dict[str, Any], cells: Cells) -> bool:
    """Return whether an episode is one of an interval cancer; its kind may be a code or words."""
    plain = str(episode.get("EpisodeType") or "").strip().lower()
    if plain and plain not in (*INTERVAL, *KINDS, *KINDS.values()):
        cells.unread["EpisodeType"] = plain
    return plain in INTERVAL if plain else bool(episode.get("INTERVALCANCER"))


def _opinion(event: Any, side: str) -> str:
    """Return the opinion on one side, in lower case; an event of another form is no opinion that is understood.

    Nor is one that has the opinion in another place, such as in its lesions or under a name that is not known.
    """
    if not event:
        return ""
    if not isinstance(event, dict) or not event.keys() & set(SIDES.values()):
        return str(event).lower()
    opinion = event.get(SIDES[side])
    if opinion is not None and str(opinion).strip():
        return str(opinion).strip().lower()
    elsewhere = [name for name in event if name not in (*SIDES.values(), *SIDES) or name == side]
    return next((f"{name}: {event[name]}".lower() for name in elsewhere if _may_decide(name, event[name])), "")


def _may_decide(name: str, value: Any) -> bool:
    """Return whether a value that is not known holds an opinion, or a word for a cancer, at any depth."""
    words = (*INTERVAL, *MALIGNANT, *BENIGN)
    return any(is_opinion or text.lower() in words for is_opinion, text in _texts(name, value))


def _texts(name: str, value: Any) -> Iterator[tuple[bool, str]]:
    """Yield every text and number of a value, and whether it is under the name of an opinion."""
    held = [("opinion" in name.lower(), value)]
    while held:
        is_opinion, one = held.pop()
        if isinstance(one, dict):
            held += [(is_opinion or "opinion" in str(key).lower(), inner) for key, inner in one.items()]
        elif isinstance(one, list):
            held += [(is_opinion, inner) for inner in one]
        elif one is not None and (text := str(one).strip()):
            yield is_opinion, text
