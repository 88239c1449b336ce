"""What detectors that see only pixels made of the readers' images: beside the readers, never pooled with them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mammogan.reader.detector_scores import DetectorScore
from mammogan.reader.key import KeyImage
from mammogan.reader.readings import Readings
from mammogan.reader.statistics.detection import detection
from mammogan.reader.statistics.proportions import Share
from mammogan.reader.statistics.table import Table, Value, with_interval
from mammogan.statistics.clustered import clustered_auc

FIGURES = {"originals recognised": "originals", "fakes recognised": "fakes", "d'": "d'", "AUC of the scores": "AUC"}
"""Figures with an interval, and how the columns of their limits begin."""
Scored = list[tuple[KeyImage, DetectorScore]]


def detector_table(readings: Readings) -> Table:
    """Return accuracy, d', criterion and AUC of each detector in each session; no rows where none has read."""
    rows = [_row(name, session, scored) for name, session, scored in scored_sessions(readings)]
    notes: tuple[str, ...] = (
        "Programs that saw nothing but the pixels of these images. They learned from training mammograms and their "
        "adversarial images what no reader is told; no detector is counted among the readers.",
        "network: a small convolutional network. spectrum: a logistic regression on frequencies, blind to places. "
        "A detector gives the more probable answer and is never unsure. Intervals: 95%, Wilson; d': Gourevitch and "
        "Galanter; AUC of the scores: on the logit, with a patient's images clustered.",
    )
    if not rows:
        notes = ("No detector has read this study; mammogan detector-reading lets two of them read it.",)
    people = [_joined(row) for row in rows]
    return Table("detectors", "Could a program tell, from the pixels alone?", rows, notes, people)


def scored_sessions(readings: Readings) -> Iterator[tuple[str, int, Scored]]:
    """Yield the images and scores of each detector in each session with originals and adversarial images."""
    images = {image.image: image for image in readings.key.images}
    for name in sorted({score.detector for score in readings.scores}):
        own = [(images[score.image], score) for score in readings.scores if score.detector == name]
        for session in sorted({image.session for image, _ in own}):
            yield name, session, [(image, score) for image, score in own if image.session == session]


def _row(name: str, session: int, scored: Scored) -> dict[str, Value]:
    reals, fakes = ([score.says for image, score in scored if image.role == role] for role in ("real", "fake"))
    found = detection(fakes.count("not real"), len(fakes), reals.count("not real"), len(reals))
    is_fake = np.array([image.role == "fake" for image, _ in scored])
    log_odds = np.array([score.log_odds for _, score in scored])
    area = clustered_auc(is_fake, log_odds, [image.patient for image, _ in scored])
    return {
        "detector": name,
        "session": session,
        **_share("originals", reals.count("real"), len(reals)),
        **_share("fakes", fakes.count("not real"), len(fakes)),
        "d'": found.d_prime if found else None,
        "d' low": found.low if found else None,
        "d' high": found.high if found else None,
        "criterion": found.criterion if found else None,
        "AUC of the scores": area.value,
        "AUC low": area.low,
        "AUC high": area.high,
    }


def _share(what: str, hits: int, n: int) -> dict[str, Value]:
    share = Share(hits, n)
    low, high = share.interval or (None, None)
    return {f"{what} recognised": share.value, f"{what} low": low, f"{what} high": high}


def _joined(row: dict[str, Value]) -> dict[str, Value]:
    """Return a row with each figure and its interval in one cell."""
    return {
        "detector": row["detector"],
        "session": row["session"],
        **{
            name: with_interval(row[name], row[f"{short} low"], row[f"{short} high"]) for name, short in FIGURES.items()
        },
        "criterion": row["criterion"],
    }


def detector_curve(scored: Sequence[tuple[KeyImage, DetectorScore]]) -> list[tuple[float, float]]:
    """Return the ROC curve of the scores: shares of originals and of fakes above each score, from (0,0) to (1,1)."""
    real, fake = (np.array([s.log_odds for image, s in scored if image.role == role]) for role in ("real", "fake"))
    cuts = [np.inf, *sorted({score.log_odds for _, score in scored}, reverse=True)]
    return [(float((real >= cut).mean()), float((fake >= cut).mean())) for cut in cuts]
