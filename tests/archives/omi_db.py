"""OMI-DB: images/<client>/<study>/<image>.dcm and data/ with JSON; every view for processing and presentation."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing

from archives.miniature import Miniature

OPINION = {"L": "left_opinion", "R": "right_opinion"}


def write(root: Path) -> Miniature:
    made = Miniature(root)
    clients: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {}

    def episode(client: str, number: str, study: str, **events: Any) -> None:
        nbss, imagedb = clients.setdefault(client, ({}, {"Site": "adde", "STUDIES": {}}))
        nbss[number] = events
        series = {f"{study}.1.1": {"1": {"MarkID": "1", "X1": 1, "Y1": 1, "X2": 9, "Y2": 9}}}
        imagedb["STUDIES"][study] = {"EpisodeID": number, "StudyDate": "2014-03-01", f"{study}.1": series}

    def image(client: str, study: str, side: str, view: str, expect: str) -> None:
        number = len(made.expected)
        made.image(f"images/{client}/{study}/{study}.{number}.dcm", expect, side, view)
        raw = f"images/{client}/{study}/{study}.{number + 1}.dcm"
        processing = {"SOPClassUID": DigitalMammographyXRayImageStorageForProcessing}
        made.image(raw, "for_processing", side, view, PresentationIntentType="FOR PROCESSING", **processing)
        header = root / "data" / client / study / f"{study}.{number}.json"
        header.parent.mkdir(parents=True, exist_ok=True)
        header.write_text(json.dumps({"00200062": {"vr": "CS", "Value": [side]}}))

    screening = {"left_opinion": "ON", "right_opinion": "ON", "L": {"DateTaken": "2014-03-01", "Opinion": "RN"}}
    assessed = {"left_opinion": "Suspicious", "right_opinion": ""}
    episode("optm1", "1", "1.2.11", EpisodeType="F", SCREENING=screening)
    episode("optm1", "2", "1.2.12", EpisodeType="R", SCREENING=screening, ASSESSMENT=assessed,
            BIOPSYWIDE={"left_opinion": "OM", "right_opinion": None, "L": {"7": {"Opinion": "B5"}}})  # fmt: skip
    image("optm1", "1.2.12", "L", "CC", "positive")
    image("optm1", "1.2.12", "R", "CC", "label_contralateral")
    image("optm1", "1.2.11", "L", "MLO", "label_prior")
    episode("optm2", "1", "1.2.21", EpisodeType="R", SCREENING=screening)
    image("optm2", "1.2.21", "L", "CC", "negative")
    image("optm2", "1.2.21", "R", "MLO", "negative")
    episode("optm3", "1", "1.2.31", EpisodeType="R", SCREENING=screening, SURGERY={"right_opinion": "Benign"})
    image("optm3", "1.2.31", "R", "MLO", "label_benign")
    episode("optm4", "1", "1.2.41", EpisodeType="CI", SURGERY={"left_opinion": "Malignant"})
    image("optm4", "1.2.41", "L", "CC", "label_interval")
    episode("demd5", "1", "1.2.51", EpisodeType="R", SCREENING=screening, ASSESSMENT=assessed)
    image("demd5", "1.2.51", "L", "CC", "label_recalled")
    episode("demd6", "1", "1.2.61", EpisodeType="R")
    image("demd6", "1.2.61", "L", "CC", "no_label")
    for client, (nbss, imagedb) in clients.items():
        folder = root / "data" / client
        is_old = client.startswith("demd")
        (folder / f"{'NBSS' if is_old else 'nbss'}_{client}.json").write_text(json.dumps({"Label": client, **nbss}))
        (folder / f"{'IMAGEDB' if is_old else 'imagedb'}_{client}.json").write_text(json.dumps(imagedb))
    return made
