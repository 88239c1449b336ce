"""Read OPTIMAM (OMI-DB): images/<client>/<study>/<image>.dcm, data/<client>/nbss_<client>.json, imagedb_<client>.json.

imagedb gives the episode of each study. nbss gives what was found in the episode: for surgery and both kinds of biopsy,
an opinion on each side. Most views exist twice, for processing and for presentation; PresentationIntentType in the
header distinguishes them.
"""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any

from mammogan.data.archives.base import Archive, Catalogue, Entry, Found, Header
from mammogan.data.archives.conflicts import checked, merge_rows
from mammogan.data.archives.datasets.omi_opinions import SIDES, by_known_names, finding_of, opinions_of
from mammogan.data.archives.labels import WITH_CANCER, Basis, Finding
from mammogan.data.archives.tables import UNKNOWN_CELL, Cells
from mammogan.data.cohort.identifiers import spelling_free
from mammogan.errors import UserError

CLIENT = re.compile(r"nbss_(.+)\.json", re.I)
CLIENT_FILE = re.compile(r"(?:nbss|imagedb)_(.+)\.json", re.I)


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
        held = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=by_known_names)
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(held, dict):
        return {}
    return held if path.name.lower().startswith("nbss") or isinstance(held.get("STUDIES"), dict) else {}


def _entries(client: str, nbss: dict[str, Any], imagedb: dict[str, Any]) -> Iterator[tuple[str, Entry]]:
    """Yield key and entry for each side of each of the client's studies, and of each episode with a cancer, or one that
    is not understood, that no study names: it makes the images of her other episodes prior ones."""
    named, spelled = set(), Counter(map(spelling_free, nbss))
    for study, described in imagedb.get("STUDIES", {}).items():
        number = described.get("EpisodeID") if isinstance(described, dict) else "no mapping"
        named.add(str(number))
        for side in SIDES:
            is_one = spelled[spelling_free(str(number))] < 2  # not 02 beside 2
            yield f"{study}/{side}", _entry(client, study, nbss.get(str(number)) if is_one else None, number, side)
    for number, episode in nbss.items():
        for side in SIDES if number not in named and (number.isdigit() or isinstance(episode, dict)) else ():
            entry = _entry(client, f"episode {number}", episode, number, side)
            if entry.excluded or entry.finding in WITH_CANCER:
                yield f"{client}, episode {number}/{side}", entry


def _entry(client: str, study: str, episode: Any, number: Any, side: str) -> Entry:
    """Return the entry of one side of a study that names the episode ``number``, or of an episode without a study."""
    cells = opinions_of(episode, side) if isinstance(episode, dict) else Cells({})
    finding = finding_of(episode, cells) if isinstance(episode, dict) else "unknown"
    if not isinstance(episode, dict) and number not in (None, ""):
        cells.unread["EpisodeID"] = str(number)
    return checked(cells, Entry(client, finding, _source(finding), study=study, laterality=side))


def _source(finding: Finding) -> str:
    return "pathology" if finding in ("cancer", "interval", "benign") else "screening"


ARCHIVE = Archive(
    name="omi-db",
    title="OPTIMAM, OMI-DB",
    bases=("biopsy",),
    read=read,
    layout=re.compile(r"(^|/)nbss_[^/]+\.json$", re.I),
)
