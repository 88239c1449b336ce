"""Measure how well a CAD reads the validation split: fooling one that reads no better than chance means nothing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mammogan.data.shards.reader import ShardImages
from mammogan.models.networks import CALLED_POSITIVE, Critic
from mammogan.statistics.clustered import clustered_auc
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.cad_record import CadReading
from mammogan.training.run.optimizer import Precision
from mammogan.training.validation import Pause, no_pause, probabilities


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
    is_positive = np.repeat([True, False], [len(positive), len(negative)])
    patients = [patient for own in images for patient in _patients(own, ranks)]
    area = clustered_auc(is_positive, np.array(positive + negative), patients)
    return CadReading(
        auc=area.value,
        auc_low=area.low,
        auc_high=area.high,
        positives_right=sum(p > CALLED_POSITIVE for p in positive),
        positives=len(positive),
        negatives_right=sum(p <= CALLED_POSITIVE for p in negative),
        negatives=len(negative),
    )


def _patients(images: ShardImages, ranks: Ranks) -> list[str]:
    """Return the patient of each image in the order of ``probabilities``: rank after rank."""
    return [images.patients[i] for rank in range(ranks.size) for i in range(rank, len(images), ranks.size)]
