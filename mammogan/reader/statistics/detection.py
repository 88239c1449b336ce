"""Signal detection: how well fakes are told from originals (d'), and how readily an image is called one (criterion).

Accuracy alone mixes the two. A reader with a constant d' of 1 whose criterion moves from .2 to .8 goes from .73 to .50
on fakes and gains as much on originals, without having learned or lost anything.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.stats import norm

from mammogan.reader.statistics.answers import SAID, Answer
from mammogan.reader.statistics.mrmc import auc

Z95 = float(norm.ppf(0.975))


@dataclass(frozen=True)
class Detection:
    """Sensitivity d' with a 95% interval, and criterion c of one operating point (positive: rarely says fake)."""

    d_prime: float
    low: float
    high: float
    criterion: float


def detection(hits: int, fakes: int, false_alarms: int, reals: int) -> Detection | None:
    """Return d' and c of counts: fakes called fake, and originals called fake. None without fakes or originals.

    The log-linear rule (x + .5) / (n + 1) is always applied, so shares of 0 and 1 stay finite (Hautus 1995). The
    variance is that of Gourevitch and Galanter (1967).
    """
    if not (fakes and reals):
        return None
    hit, alarm = (hits + 0.5) / (fakes + 1), (false_alarms + 0.5) / (reals + 1)
    z_hit, z_alarm = float(norm.ppf(hit)), float(norm.ppf(alarm))
    half = Z95 * math.sqrt(_variance(hit, fakes) + _variance(alarm, reals))
    d_prime = z_hit - z_alarm
    return Detection(d_prime, d_prime - half, d_prime + half, -(z_hit + z_alarm) / 2)


def _variance(rate: float, n: int) -> float:
    return rate * (1 - rate) / (n * float(norm.pdf(norm.ppf(rate))) ** 2)


def detection_of(answers: Sequence[Answer], unsure_is_fake: bool = False) -> Detection | None:
    """Return d' and c of answers. Unsure counts as not detected, or with ``unsure_is_fake`` as detected."""
    says = ("not real", "unsure") if unsure_is_fake else ("not real",)
    fakes = [answer for answer in answers if answer.shown == "fake"]
    reals = [answer for answer in answers if answer.shown == "real"]
    called = [sum(answer.answer in says for answer in group) for group in (fakes, reals)]
    return detection(called[0], len(fakes), called[1], len(reals))


def auc_of(answers: Sequence[Answer]) -> float | None:
    """Return the AUC of the ordered answers real, unsure, not real; ties count one half. None without both kinds.

    Three steps understate the area below a curve of continuous certainty: of a true .760 they show about .71.
    """
    scores = {said: score for score, said in enumerate(SAID)}
    real = [scores[answer.answer] for answer in answers if answer.shown == "real"]
    fake = [scores[answer.answer] for answer in answers if answer.shown == "fake"]
    return auc(real, fake) if real and fake else None


def roc_points(answers: Sequence[Answer]) -> list[tuple[float, float]]:
    """Return the two operating points (false alarms, hits): "not real" alone, and with "unsure"."""
    points = []
    for says in (("not real",), ("not real", "unsure")):
        rates = [
            sum(a.answer in says for a in answers if a.shown == shown) / max(1, sum(a.shown == shown for a in answers))
            for shown in ("real", "fake")
        ]
        points.append((rates[0], rates[1]))
    return points
