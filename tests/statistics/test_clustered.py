"""Figures over the mammograms of patients have intervals and tests that hold."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from mammogan.evaluation.calibration import calibration
from mammogan.evaluation.operating_points import operating_points
from mammogan.statistics.clustered import auc_with_logit_interval, clustered_share, compare_aucs, design_effect, wilson

PATIENTS = list("aabccdde")
LABELS = np.array([1, 1, 1, 0, 0, 0, 0, 1], dtype=bool)
BEFORE = np.array([0.9, 0.6, 0.4, 0.5, 0.1, 0.3, 0.2, 0.8])
AFTER = np.array([0.2, 0.65, 0.5, 0.7, 0.6, 0.4, 0.9, 0.1])


def test_clustered_delong_has_the_values_of_obuchowski() -> None:
    found = compare_aucs(BEFORE, LABELS, AFTER, ~LABELS, PATIENTS)
    assert (found.first, found.second) == (0.9375, 0.8125)
    expected = [[0.009033203125, -0.0018310546875], [-0.0018310546875, 0.009033203125]]
    assert found.covariance == pytest.approx(np.array(expected), abs=1e-15)
    assert found.z == pytest.approx(0.847998304) and 0.39 < found.p < 0.40


def test_with_one_image_a_patient_it_is_delong() -> None:
    found = compare_aucs(BEFORE, LABELS, AFTER, ~LABELS, list("abcdefgh"))
    expected = [[0.0078125, -0.002232142857], [-0.002232142857, 0.028645833333]]
    assert found.covariance == pytest.approx(np.array(expected), abs=1e-11)


def test_the_area_is_that_of_scikit_learn_and_its_interval_stays_within_one() -> None:
    draws = np.random.default_rng(0)
    labels = draws.random(80) < 0.3
    score = np.round(draws.normal(labels * 1.5), 1)
    area, low, high = auc_with_logit_interval(score, labels, [str(i // 2) for i in range(80)])
    assert area == pytest.approx(roc_auc_score(labels, score))
    assert 0.5 < low < area < high < 1
    perfect = auc_with_logit_interval(labels.astype(float), labels, [str(i) for i in range(80)])
    fewest = min(labels.sum(), (~labels).sum())
    assert perfect[0] == perfect[2] == 1 and perfect[1] == pytest.approx(fewest / (fewest + 1.959964**2))


def test_a_share_of_all_images_has_the_interval_of_its_patients() -> None:
    patients = [str(i // 4) for i in range(164)]
    found = clustered_share(np.ones(164, dtype=bool), np.ones(164, dtype=bool), patients, "none")
    assert found.low == pytest.approx(41 / (41 + 1.959964**2), abs=1e-6), "41 patients, all images alike"
    assert found.high == 1 and (found.numerator, found.denominator) == (164, 164)
    assert wilson(81 / 263, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert wilson(0.308, 262.5) == pytest.approx(wilson(81 / 263, 263), abs=2e-3)


def test_the_design_effect_is_the_number_of_images_where_a_patient_s_agree_and_one_where_they_do_not() -> None:
    draws = np.random.default_rng(1)
    of_patient = draws.random(400) < 0.4
    patients = [str(i) for i in range(400) for _ in range(3)]
    assert design_effect(of_patient.repeat(3), patients) == pytest.approx(3, rel=0.05)
    assert design_effect(draws.random(1200) < 0.4, patients) == pytest.approx(1, abs=0.15)


def test_the_interval_of_a_share_near_one_covers_the_truth() -> None:
    draws = np.random.default_rng(2)
    covered, runs, true = 0, 400, 0.95
    for _ in range(runs):
        shared = draws.random(20) < 0.5
        each = draws.random((20, 2)) < true
        hits = np.where(shared[:, None], each[:, :1], each).ravel()
        found = clustered_share(hits, np.ones_like(hits), [str(i // 2) for i in range(40)], "none")
        assert found.low is not None and found.high is not None
        covered += found.low <= true <= found.high
    assert covered / runs >= 0.93


@pytest.mark.parametrize("true", [0.5, 0.8, 0.97])
@pytest.mark.parametrize("agreeing", [0.0, 0.5, 1.0], ids=lambda share: f"{share:.0%} of the patients agree")
@pytest.mark.parametrize("kind", ["two each", "one or two", "some have ten"])
def test_the_interval_of_a_share_holds_however_many_images_a_patient_has(
    true: float, agreeing: float, kind: str
) -> None:
    draws = np.random.default_rng(5)
    images = {
        "two each": np.full(30, 2),
        "one or two": np.arange(30) % 2 + 1,
        "some have ten": np.where(np.arange(30) % 6 == 0, 10, np.arange(30) % 2 + 1),
    }[kind]
    patients = [str(i) for i in range(30) for _ in range(images[i])]
    covered, runs = 0, 300
    for _ in range(runs):
        each = draws.random(len(patients)) < true
        first = np.repeat(draws.random(30) < true, images)
        hits = np.where(np.repeat(draws.random(30) < agreeing, images), first, each)
        found = clustered_share(hits, np.ones_like(hits), patients, "none")
        assert found.low is not None and found.high is not None
        covered += found.low <= true <= found.high
    assert covered / runs >= 0.91, "95% less what 300 cohorts of 30 patients vary by"


def test_one_miss_more_never_raises_the_lower_end() -> None:
    patients = [str(i // 2) for i in range(200)]
    lower = []
    for misses in range(12):
        hits = np.ones(200, dtype=bool)
        hits[: 2 * misses : 2] = False
        lower.append(clustered_share(hits, np.ones_like(hits), patients, "none").low)
    assert all(fewer > more for fewer, more in pairwise(lower))


def test_operating_points_reach_what_they_are_named_after() -> None:
    draws = np.random.default_rng(3)
    positive = draws.random(300) < 0.3
    probability = 1 / (1 + np.exp(-draws.normal(positive * 2.0 - 1)))
    points = {point.name: point for point in operating_points(probability, positive)}
    assert list(points) == ["given", "Youden", "90% sensitivity", "90% specificity"]
    assert points["90% sensitivity"].sensitivity >= 0.9 and points["90% specificity"].specificity >= 0.9
    best = max(
        (probability[positive] > t).mean() + (probability[~positive] <= t).mean() for t in np.linspace(0, 1, 2001)
    )
    youden = points["Youden"]
    assert youden.sensitivity + youden.specificity == pytest.approx(best, abs=1e-9)
    higher = operating_points(probability, positive)[2].threshold + 0.02
    assert (probability[positive] > higher).mean() < points["90% sensitivity"].sensitivity
    assert [p.name for p in operating_points(probability, np.ones(300, dtype=bool))] == ["given"]


def test_a_timid_cad_has_a_slope_above_one_and_a_boastful_one_below() -> None:
    draws = np.random.default_rng(4)
    logit = draws.normal(0, 1.5, 6000)
    positive = draws.random(6000) < 1 / (1 + np.exp(-logit))
    slopes = [calibration(1 / (1 + np.exp(-logit * k)), positive).slope for k in (1.0, 0.2, 3.0)]
    assert slopes == pytest.approx([1, 5, 1 / 3], rel=0.1)
    honest = calibration(1 / (1 + np.exp(-logit)), positive)
    assert honest.brier < honest.brier_of_prevalence
    assert calibration(np.array([0.9, 0.1]), np.array([True, False])).slope is None
