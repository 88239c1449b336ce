"""Table 1 against numbers worked out by hand, and its intervals against plain resampling."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from predictions_file import read_predictions
from sklearn.metrics import roc_auc_score

from mammogan.evaluation.bootstrap import PatientBootstrap, weighted_auc
from mammogan.evaluation.predictions import Prediction, write_predictions
from mammogan.evaluation.report.tables import interval_text, value_text
from mammogan.evaluation.table1 import ROWS, Cases, fooled_by_density, mean_change, table1
from mammogan.workspace import Direction

# patient, label, probability of the real image, of its fake
BY_HAND = (
    ("anna", "positive", 0.9, 0.3),  # right, fooled
    ("anna", "positive", 0.4, 0.1),  # wrong before: cannot be fooled
    ("bess", "negative", 0.2, 0.8),  # right, fooled
    ("bess", "negative", 0.6, 0.9),  # wrong before
    ("cora", "positive", 0.8, 0.7),  # right, not fooled
    ("dora", "negative", 0.1, 0.4),  # right, not fooled
)


def predictions(rows: tuple[tuple[str, str, float, float | None], ...] = BY_HAND) -> list[Prediction]:
    found = []
    for i, (patient, label, before, after) in enumerate(rows):
        direction = "remove" if label == "positive" else "insert"
        flipped = "negative" if label == "positive" else "positive"
        found.append(Prediction("96x96", f"k{i}", patient, label, before, "real"))
        if after is not None:
            key = f"k{i}-{direction}"
            found.append(Prediction("96x96", key, patient, flipped, after, "adversarial", direction, f"k{i}"))
    return found


def cases(rows: tuple[tuple[str, str, float, float | None], ...] = BY_HAND) -> Cases:
    return Cases.pair(predictions(rows))


def test_every_figure_equals_the_one_calculated_manually() -> None:
    table = table1(cases(), threshold=0.5, draws=200, seed=0)

    # Pairs of (positive, negative) in order: .9 beats .2 .6 .1, .4 beats .2 .1, .8 beats all: 8 of 9.
    assert table["auc_real"].value == pytest.approx(8 / 9)
    # Flipped: positives are the altered negatives .8 .9 .4, negatives the altered positives .3 .1 .7: again 8 of 9.
    assert table["auc_adversarial"].value == pytest.approx(8 / 9)
    counted = {name: (f.numerator, f.denominator) for name, f in table.items() if f.denominator is not None}
    assert counted == {
        "positives_right": (2, 3),
        "fooled_remove": (1, 2),
        "negatives_right": (2, 3),
        "fooled_insert": (1, 2),
        "fooled_both": (2, 4),
    }
    assert list(table) == list(ROWS)
    assert (value_text(table["fooled_both"]), interval_text(table["fooled_both"])) == ("2/4", "4 patients")


def test_a_share_over_fewer_than_ten_patients_is_printed_as_counts() -> None:
    def shown(patients: int) -> tuple[str, str]:
        names = [f"p{i % patients}" for i in range(20)]
        figure = PatientBootstrap(names, 200, 0).share(np.arange(20) < 10, np.ones(20, bool), "")
        return value_text(figure), interval_text(figure)

    assert shown(9) == ("10/20", "9 patients")
    assert shown(10)[0] == "10/20 (50.0%)" and shown(10)[1].endswith("%")


def test_a_probability_at_the_threshold_is_called_negative_as_by_argmax() -> None:
    table = table1(cases((("anna", "positive", 0.5, 0.5), ("bess", "negative", 0.5, 0.5))), 0.5, 200, 0)
    assert table["positives_right"].numerator == 0
    assert table["negatives_right"].numerator == 1
    assert table["fooled_insert"].numerator == 0


def test_the_interval_of_two_patients_one_right_one_wrong_is_everything() -> None:
    # Draws of two patients: both the right one (1/4), one of each (1/2), both the wrong one (1/4): 0 and 1 are the
    # 2.5% and 97.5% points.
    bootstrap = PatientBootstrap(["anna", "bess"], 2000, 0)
    figure = bootstrap.share(np.array([True, False]), np.array([True, True]), "")
    assert (figure.value, figure.low, figure.high) == (0.5, 0.0, 1.0)


def test_one_outcome_for_all_gives_an_interval_without_width_and_says_that_it_means_little() -> None:
    figure = PatientBootstrap(["a", "b", "c"], 500, 0).share(np.ones(3, bool), np.ones(3, bool), "")
    assert (figure.value, figure.low, figure.high) == (1.0, 1.0, 1.0)
    assert "same outcome" in figure.interval_reason


def test_patients_are_resampled_not_images() -> None:
    # Two patients with 50 images each, one all right, one all wrong. Images drawn one by one would give about .4 to .6.
    patients = ["anna"] * 50 + ["bess"] * 50
    right = np.arange(100) < 50
    of_patients = PatientBootstrap(patients, 2000, 0).share(right, np.ones(100, bool), "")
    of_images = PatientBootstrap([str(i) for i in range(100)], 2000, 0).share(right, np.ones(100, bool), "")
    assert (of_patients.low, of_patients.high) == (0.0, 1.0)
    assert of_images.low is not None and of_images.high is not None
    assert 0.35 < of_images.low < 0.45 and 0.55 < of_images.high < 0.65


def test_intervals_equal_those_of_plain_resampling() -> None:
    random = np.random.default_rng(3)
    patients = [f"p{i // 3}" for i in range(60)]
    positive = random.random(60) < 0.4
    score = np.round(random.random(60) + 0.3 * positive, 1)  # rounded: there are ties
    bootstrap = PatientBootstrap(patients, 300, 7)

    areas = []
    for counts in bootstrap.counts:
        drawn = np.repeat(np.arange(60), counts[bootstrap.patient])
        areas.append(roc_auc_score(positive[drawn], score[drawn]))
    low, high = np.quantile(areas, (0.025, 0.975))

    figure = bootstrap.auc(positive, score)
    assert figure.value == pytest.approx(roc_auc_score(positive, score))
    assert (figure.low, figure.high) == (pytest.approx(low), pytest.approx(high))


@pytest.mark.parametrize("seed", range(5))
def test_the_auc_agrees_with_scikit_learn_ties_and_weights_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    positive = random.random(200) < 0.3
    score = random.integers(0, 12, 200) / 12
    weights = random.integers(0, 4, (3, 200)).astype(float)
    expected = [roc_auc_score(positive, score, sample_weight=w) for w in weights]
    assert weighted_auc(positive, score, weights) == pytest.approx(expected)


def test_intervals_depend_on_the_seed_but_not_on_what_patients_are_called() -> None:
    renamed = tuple((f"x{9 - ord(p[0])}", *rest) for p, *rest in BY_HAND)
    first, other_names, other_seed = (
        table1(cases(rows), 0.5, 400, seed) for rows, seed in ((BY_HAND, 1), (renamed, 1), (BY_HAND, 2))
    )
    assert first == other_names
    assert first["auc_real"] != other_seed["auc_real"]


def test_an_empty_denominator_is_explained_and_never_divided_by() -> None:
    blind = (("anna", "positive", 0.1, 0.2), ("bess", "negative", 0.2, 0.1))
    table = table1(cases(blind), 0.5, 200, 0)
    fooled = table["fooled_remove"]
    assert (fooled.value, fooled.low, fooled.high, fooled.denominator) == (None, None, None, 0)
    assert fooled.reason == "the CAD called no positive mammogram correctly"
    assert value_text(fooled) == interval_text(fooled) == "n/a"


def test_one_class_has_no_auc_and_says_so() -> None:
    table = table1(cases((("anna", "negative", 0.1, 0.7), ("bess", "negative", 0.2, 0.9))), 0.5, 200, 0)
    assert table["auc_real"].value is None
    assert table["auc_real"].reason == "only negative images: an AUC needs both classes"
    assert table["auc_adversarial"].reason == "only positive images: an AUC needs both classes"
    assert table["positives_right"].reason == "no positive mammograms in this split"
    assert value_text(table["fooled_insert"]) == "2/2"


def test_two_patients_of_different_classes_have_an_auc_without_an_interval() -> None:
    rows = tuple(("anna", "positive", 0.6 + i / 100, 0.4) for i in range(4))
    rows += tuple(("bess", "negative", 0.3 + i / 100, 0.6) for i in range(4))
    figure = table1(cases(rows), 0.5, 2000, 0)["auc_real"]
    assert figure.value == 1.0
    assert (figure.low, figure.high) == (None, None)
    assert "resamples hold both classes" in figure.interval_reason and "of 2000" in figure.interval_reason


def test_a_missing_direction_leaves_its_figures_empty_and_the_others_complete() -> None:
    rows = tuple((p, label, before, after if label == "positive" else None) for p, label, before, after in BY_HAND)
    table = table1(cases(rows), 0.5, 200, 0)
    assert (table["fooled_remove"].numerator, table["fooled_remove"].denominator) == (1, 2)
    assert table["fooled_insert"].reason == "no adversarial mammograms (insert)"
    assert (table["fooled_both"].numerator, table["fooled_both"].denominator) == (1, 2)
    assert table["auc_adversarial"].value is None


def test_fooled_rates_are_split_by_density_and_means_by_direction() -> None:
    density = {"k0": "A", "k4": "D", "k2": "A"}
    dense = Cases.pair(predictions(), density)
    by = fooled_by_density(dense, 0.5, 200, 0)
    assert {d: f.numerator for d, f in by["remove"].items()} == {"A": 1, "D": 0}
    assert by["insert"]["D"].value is None
    assert mean_change(dense, Direction.REMOVE) == {
        "images": 3,
        "before": pytest.approx((0.9 + 0.4 + 0.8) / 3),
        "after": pytest.approx((0.3 + 0.1 + 0.7) / 3),
    }
    assert fooled_by_density(cases(), 0.5, 200, 0) == {}


def test_predictions_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    rows = [*predictions(), Prediction("96x96", "k9", "eve", "negative", 1 / 3, "real")]
    write_predictions(tmp_path / "predictions.csv", rows)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header == "resolution,key,patient,label,probability,kind,direction,source_key,split,objective"
    assert read_predictions(tmp_path / "predictions.csv") == rows


def test_the_studys_own_size_takes_seconds() -> None:
    random = np.random.default_rng(0)
    rows = tuple((f"p{i // 4}", "positive" if i // 4 % 6 == 0 else "negative", *random.random(2)) for i in range(438))
    start = time.monotonic()
    table = table1(cases(rows), 0.5, 2000, 0)
    assert time.monotonic() - start < 5
    assert all(figure.low is not None for figure in table.values())
