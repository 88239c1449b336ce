"""Read OPTIMAM (OMI-DB): images/<client>/<study>/<image>.dcm, data/<client>/nbss_<client>.json, imagedb_<client>.json.

imagedb gives the episode of each study. nbss gives what was found in the episode: for surgery and both kinds of biopsy,
an opinion on each side. Most views exist twice, for processing and for presentation; PresentationIntentType in the
header distinguishes them.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.labels import WITH_CANCER, Basis, Finding
from mammogan.data.archives.tables import UNKNOWN_CELL, Cells
from mammogan.errors import UserError

CLIENT = re.compile(r"nbss_(.+)\.json", re.I)
CLIENT_FILE = re.compile(r"(?:nbss|imagedb)_(.+)\.json", re.I)
PATHOLOGY = ("SURGERY", "BIOPSYWIDE", "BIOPSYFINE")
SIDES = {"L": "left_opinion", "R": "right_opinion"}
INTERVAL = ("ci", "interval case", "interval cancer")
KINDS = {
    "ca": "continued assessment", "cd": "delayed treatment", "cf": "follow-up after treatment",
    "cr": "local recurrence", "f": "first call", "g": "gp referral", "h": "higher risk", "n": "non-routine recall",
    "r": "routine recall", "s": "self referral", "x": "other",
}  # fmt: skip
"""Kinds of episodes other than interval cancers, as the screening service writes them."""
MALIGNANT, BENIGN, OTHER = ("om", "malignant"), ("ob", "benign"), ("on", "normal", "")


def read(found: Found, basis: Basis) -> Catalogue:
    """Read the clients' JSON files. The keys are <study>/<side>; ``basis`` is ignored. UserError if there are none."""
    files: defaultdict[str, list[Path]] = defaultdict(list)
    for path in found.texts:
        if path.suffix.lower() == ".json":
            files[path.name.lower()].append(found.root / path)
    clients = sorted(match[1] for name in files if (match := CLIENT.fullmatch(name)))
    if not clients:
        raise UserError(f"expected data/<client>/nbss_<client>.json under {found.root}, found none; ROOT is the folder "
                        "that holds both images and data")  # fmt: skip
    paths = [path for named in files.values() for path in named if CLIENT_FILE.fullmatch(path.name)]
    held = {path: _json(path) for path in paths}
    damaged = {path.stem.lower().partition("_")[2]: path for path in paths if not held[path]}
    entries = merge_rows(
        pair
        for client in clients
        for nbss in files[f"nbss_{client}.json"]
        for imagedb in files[f"imagedb_{client}.json"]
        for pair in _entries(client, held[nbss], held[imagedb])
    )

    def find(path: PurePath, header: Header) -> tuple[str, Entry] | None:
        key = f"{path.parent.name}/{header.laterality}"
        client = next((part for part in path.parts if part.lower() in damaged), "")
        if client:
            why = f"{damaged[client.lower()].name} cannot be read"
            return key, Entry(client, "unknown", "none", excluded=UNKNOWN_CELL, why_excluded=why)
        return (key, entries[key]) if key in entries else None

    return Catalogue(entries, find)


def _json(path: Path) -> dict[str, Any]:
    """Read a client's file; empty if it cannot be read or holds something else."""
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(held, dict):
        return {}
    return held if path.name.lower().startswith("nbss") or isinstance(held.get("STUDIES"), dict) else {}


def _entries(client: str, nbss: dict[str, Any], imagedb: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    """Yield key and entry for each side of each of the client's studies, and of each episode with a cancer, or one that
    is not understood, that no study names: it makes the images of her other episodes prior ones."""
    named = set()
    for study, described in imagedb.get("STUDIES", {}).items():
        number = described.get("EpisodeID") if isinstance(described, dict) else "no mapping"
        named.add(str(number))
        for side in SIDES:
            yield f"{study}/{side}", _entry(client, study, nbss.get(str(number)), number, side)
    for number, episode in nbss.items():
        for side in SIDES if number not in named and number.isdigit() else ():
            entry = _entry(client, f"episode {number}", episode, number, side)
            if entry.excluded or entry.finding in WITH_CANCER:
                yield f"{client}, episode {number}/{side}", entry


def _entry(client: str, study: str, episode: Any, number: Any, side: str) -> Entry:
    """Return the entry of one side of a study that names the episode ``number``, or of an episode without a study."""
    cells = _opinions(episode, side) if isinstance(episode, dict) else Cells({})
    finding = _finding(episode, cells) if isinstance(episode, dict) else "unknown"
    if not isinstance(episode, dict) and number not in (None, ""):
        cells.unread["EpisodeID"] = str(number)
    return checked(cells, Entry(client, finding, _source(finding), study=study, laterality=side))


def _opinions(episode: dict[str, Any], side: str) -> Cells:
    """Return the opinions of surgery and biopsies on one side, in lower case."""
    opinions = Cells({event: _opinion(episode.get(event), side) for event in PATHOLOGY})
    for event in PATHOLOGY:
        opinions.word(event, dict.fromkeys((*MALIGNANT, *BENIGN, *OTHER), ""), "")
    return opinions


def _finding(episode: dict[str, Any], opinions: Cells) -> Finding:
    """Return what an episode says of one side, by its opinions; they note a kind that is not understood."""
    is_interval = _is_interval(episode.get("EpisodeType"), opinions)
    if any(opinion in MALIGNANT for opinion in opinions.values()):
        return "interval" if is_interval else "cancer"
    if any(opinion in BENIGN for opinion in opinions.values()):
        return "benign"
    if is_interval or episode.get("SURGERY"):
        return "uncertain"
    if episode.get("ASSESSMENT"):
        return "recalled"
    return "normal" if episode.get("SCREENING") else "unknown"


def _is_interval(kind: Any, cells: Cells) -> bool:
    """Return whether an episode is one of an interval cancer; its kind may be a code or words."""
    plain = str(kind or "").strip().lower()
    if plain and plain not in (*INTERVAL, *KINDS, *KINDS.values()):
        cells.unread["EpisodeType"] = plain
    return plain in INTERVAL


def _opinion(event: Any, side: str) -> str:
    """Return the opinion on one side, in lower case; an event of another form is no opinion that is understood."""
    if not event:
        return ""
    if not isinstance(event, dict) or not event.keys() & set(SIDES.values()):
        return str(event).lower()
    opinion = event.get(SIDES[side])
    return "" if opinion is None else str(opinion).strip().lower()


def _source(finding: Finding) -> str:
    return "pathology" if finding in ("cancer", "interval", "benign") else "screening"


ARCHIVE = Archive(
    name="omi-db",
    title="OPTIMAM, OMI-DB",
    bases=("biopsy",),
    read=read,
    layout=re.compile(r"(^|/)nbss_[^/]+\.json$", re.I),
)
