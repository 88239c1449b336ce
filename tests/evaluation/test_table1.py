"""Table 1 against numbers worked out by hand, and its intervals against plain resampling."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
from predictions_file import read_predictions
from sklearn.metrics import roc_auc_score

from mammogan.errors import UserError
from mammogan.evaluation.predictions import Prediction, write_predictions
from mammogan.evaluation.predictions import read_predictions as read_table_of_predictions
from mammogan.evaluation.report.tables import interval_text, value_text
from mammogan.evaluation.table1 import ROWS, Cases, fooled_by_density, mean_change, table1
from mammogan.statistics.bootstrap import Resampling
from mammogan.statistics.clustered import clustered_auc, clustered_share
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
        found.append(Prediction("96x96", f"k{i}", patient, label, before, "original"))
        if after is not None:
            key = f"k{i}-{direction}"
            found.append(Prediction("96x96", key, patient, flipped, after, "adversarial", direction, f"k{i}"))
    return found


def cases(rows: tuple[tuple[str, str, float, float | None], ...] = BY_HAND) -> Cases:
    return Cases.pair(predictions(rows))


def test_every_figure_equals_the_one_calculated_manually() -> None:
    table = table1(cases(), 0.5)

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
        figure = clustered_share(np.arange(20) < 10, np.ones(20, bool), names, "")
        return value_text(figure), interval_text(figure)

    assert shown(9) == ("10/20", "9 patients")
    assert shown(10)[0] == "10/20 (50.0%)" and shown(10)[1].endswith("%")


def test_a_probability_at_the_threshold_is_called_negative_as_by_argmax() -> None:
    table = table1(cases((("anna", "positive", 0.5, 0.5), ("bess", "negative", 0.5, 0.5))), 0.5)
    assert table["positives_right"].numerator == 0
    assert table["negatives_right"].numerator == 1
    assert table["fooled_insert"].numerator == 0


def test_images_of_one_patient_count_as_alike_as_they_are() -> None:
    # Two patients with 50 images each, one all right, one all wrong: as good as two images.
    patients = ["anna"] * 50 + ["bess"] * 50
    right, everything = np.arange(100) < 50, np.ones(100, bool)
    of_patients = clustered_share(right, everything, patients, "")
    of_images = clustered_share(right, everything, [str(i) for i in range(100)], "")
    assert of_patients.low is not None and of_patients.high is not None and of_patients.high - of_patients.low > 0.8
    assert of_images.low == pytest.approx(0.404, abs=1e-3) and of_images.high == pytest.approx(0.596, abs=1e-3)


def test_one_patient_has_shares_without_an_interval() -> None:
    figure = clustered_share(np.array([True, False]), np.ones(2, bool), ["anna", "anna"], "")
    assert (figure.value, figure.low, figure.high) == (0.5, None, None) and "one patient" in figure.interval_reason


def test_the_interval_of_a_median_equals_that_of_plain_resampling_of_patients() -> None:
    random = np.random.default_rng(3)
    patients = [f"p{i // 3}" for i in range(60)]
    values = np.round(random.random(60), 1)  # rounded: there are ties
    resampling = Resampling(300, 7)

    medians = []
    for counts in np.random.default_rng(7).multinomial(20, np.full(20, 1 / 20), size=300):
        medians.append(np.median(np.repeat(values, np.repeat(counts, 3))))
    expected = tuple(np.quantile(medians, (0.025, 0.975)))

    assert resampling.median_interval(values, patients) == pytest.approx(expected)
    renamed = [f"x{20 - int(p[1:])}" for p in patients]
    assert resampling.median_interval(values, renamed) == pytest.approx(expected)
    assert resampling.median_interval(values[:15], patients[:15]) is None, "five patients are too few"


@pytest.mark.parametrize("seed", range(5))
def test_the_auc_agrees_with_scikit_learn_ties_included(seed: int) -> None:
    random = np.random.default_rng(seed)
    positive = random.random(200) < 0.3
    score = random.integers(0, 12, 200) / 12
    figure = clustered_auc(positive, score, [str(i // 2) for i in range(200)])
    assert figure.value == pytest.approx(roc_auc_score(positive, score))


def test_no_figure_depends_on_what_patients_are_called() -> None:
    renamed = tuple((f"x{9 - ord(p[0])}", *rest) for p, *rest in BY_HAND)
    assert table1(cases(BY_HAND), 0.5) == table1(cases(renamed), 0.5)


def test_an_empty_denominator_is_explained_and_never_divided_by() -> None:
    blind = (("anna", "positive", 0.1, 0.2), ("bess", "negative", 0.2, 0.1))
    table = table1(cases(blind), 0.5)
    fooled = table["fooled_remove"]
    assert (fooled.value, fooled.low, fooled.high, fooled.denominator) == (None, None, None, 0)
    assert fooled.reason == "the CAD called no positive mammogram correctly"
    assert value_text(fooled) == interval_text(fooled) == "n/a"


def test_one_class_has_no_auc_and_says_so() -> None:
    table = table1(cases((("anna", "negative", 0.1, 0.7), ("bess", "negative", 0.2, 0.9))), 0.5)
    assert table["auc_real"].value is None
    assert table["auc_real"].reason == "only negative images: an AUC needs both classes"
    assert table["auc_adversarial"].reason == "only positive images: an AUC needs both classes"
    assert table["positives_right"].reason == "no positive mammograms in this split"
    assert value_text(table["fooled_insert"]) == "2/2"


def test_two_patients_of_different_classes_have_an_auc_without_an_interval() -> None:
    rows = tuple(("anna", "positive", 0.6 + i / 100, 0.4) for i in range(4))
    rows += tuple(("bess", "negative", 0.3 + i / 100, 0.6) for i in range(4))
    figure = table1(cases(rows), 0.5)["auc_real"]
    assert figure.value == 1.0
    assert (figure.low, figure.high) == (None, None)
    assert figure.interval_reason == "all positive images are one patient's"


def test_a_missing_direction_leaves_its_figures_empty_and_the_others_complete() -> None:
    rows = tuple((p, label, before, after if label == "positive" else None) for p, label, before, after in BY_HAND)
    table = table1(cases(rows), 0.5)
    assert (table["fooled_remove"].numerator, table["fooled_remove"].denominator) == (1, 2)
    assert table["fooled_insert"].reason == "no adversarial mammograms (insert)"
    assert (table["fooled_both"].numerator, table["fooled_both"].denominator) == (1, 2)
    assert table["auc_adversarial"].value is None


def test_fooled_rates_are_split_by_density_and_means_by_direction() -> None:
    density = {"k0": "A", "k4": "D", "k2": "A"}
    dense = Cases.pair(predictions(), density)
    by = fooled_by_density(dense, 0.5)
    assert {d: f.numerator for d, f in by["remove"].items()} == {"A": 1, "D": 0}
    assert by["insert"]["D"].value is None
    assert mean_change(dense, Direction.REMOVE) == {
        "images": 3,
        "before": pytest.approx((0.9 + 0.4 + 0.8) / 3),
        "after": pytest.approx((0.3 + 0.1 + 0.7) / 3),
    }
    assert fooled_by_density(cases(), 0.5) == {}


def test_predictions_of_earlier_versions_which_call_an_original_real_are_read_as_ours(tmp_path: Path) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    path.write_text(path.read_text().replace(",original,", ",real,"))
    assert ",real," in path.read_text() and read_table_of_predictions(path) == predictions()


@pytest.mark.parametrize("damage", ["cut", "another kind", "a word for a number", "no header"])
def test_a_damaged_table_of_predictions_is_named(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "predictions.csv"
    write_predictions(path, predictions())
    text = path.read_text()
    changed = {
        "cut": text[: text.rindex(",")],
        "another kind": text.replace(",original,", ",orignal,"),
        "a word for a number": text.replace("0.", "x."),
        "no header": "",
    }
    path.write_text(changed[damage])
    with pytest.raises(UserError, match=r"predictions.csv is damaged: .*Repeat mammogan evaluate"):
        read_table_of_predictions(path)


def test_predictions_come_back_from_their_file_as_they_were(tmp_path: Path) -> None:
    rows = [*predictions(), Prediction("96x96", "k9", "eve", "negative", 1 / 3, "original")]
    write_predictions(tmp_path / "predictions.csv", rows)
    header = (tmp_path / "predictions.csv").read_text().splitlines()[0]
    assert header == "resolution,key,patient,label,probability,kind,direction,source_key,split,objective"
    assert read_predictions(tmp_path / "predictions.csv") == rows


def test_the_studys_own_size_takes_seconds() -> None:
    random = np.random.default_rng(0)
    rows = tuple((f"p{i // 4}", "positive" if i // 4 % 6 == 0 else "negative", *random.random(2)) for i in range(438))
    start = time.monotonic()
    table = table1(cases(rows), 0.5)
    assert time.monotonic() - start < 5
    assert all(figure.low is not None for figure in table.values())
