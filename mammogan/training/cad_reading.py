"""Measure how well a CAD reads the validation split: fooling one that reads no better than chance means nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from sklearn.metrics import roc_auc_score

from mammogan.data.shards.reader import ShardImages
from mammogan.models.networks import CALLED_POSITIVE, Critic
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.cad_record import CadReading
from mammogan.training.run.optimizer import Precision
from mammogan.training.validation import Pause, auc, no_pause, probabilities

DRAWS, EDGES = 1000, (0.025, 0.975)
LEAST_DEFINED = 0.95
"""Share of the draws that must hold both classes for an interval to be given."""


def read_validation(
    cad: Critic,
    positives: ShardImages,
    negatives: ShardImages,
    precision: Precision,
    ranks: Ranks,
    pause: Pause = no_pause,
) -> CadReading:
    """Score the validation split and say how well the CAD reads it; the same on every rank."""
    images = (positives, negatives)
    return reading_of([probabilities(cad, own, precision, ranks, pause) for own in images], images, ranks)


def reading_of(scores: Sequence[list[float]], images: Sequence[ShardImages], ranks: Ranks) -> CadReading:
    """Return how well the CAD reads positives and negatives, given what ``probabilities`` returned for both."""
    positive, negative = scores
    low, high = _interval(positive, negative, [patient for own in images for patient in _patients(own, ranks)])
    return CadReading(
        auc=auc(positive, negative),
        auc_low=low,
        auc_high=high,
        positives_right=sum(p > CALLED_POSITIVE for p in positive),
        positives=len(positive),
        negatives_right=sum(p <= CALLED_POSITIVE for p in negative),
        negatives=len(negative),
    )


def _patients(images: ShardImages, ranks: Ranks) -> list[str]:
    """Return the patient of each image in the order of ``probabilities``: rank after rank."""
    return [images.patients[i] for rank in range(ranks.size) for i in range(rank, len(images), ranks.size)]


def _interval(positive: list[float], negative: list[float], patients: list[str]) -> tuple[float | None, float | None]:
    """Return the 95% interval of the AUC from resampled patients; None where too few draws hold both classes."""
    if auc(positive, negative) is None:
        return None, None
    label, score = np.repeat([1, 0], [len(positive), len(negative)]), np.array(positive + negative)
    _, number = np.unique(patients, return_inverse=True)
    count = int(number.max()) + 1
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)[:, number]
    areas = [
        roc_auc_score(label, score, sample_weight=weights)
        for weights in drawn
        if weights[label == 1].any() and weights[label == 0].any()
    ]
    if len(areas) < LEAST_DEFINED * DRAWS:
        return None, None
    low, high = np.quantile(areas, EDGES)
    return float(low), float(high)
