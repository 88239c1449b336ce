"""The statistics of the reader study give the values that others published or computed."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from mammogan.errors import UserError
from mammogan.reader.statistics import mrmc, power, proportions
from mammogan.reader.statistics.agreement import agreement
from mammogan.reader.statistics.answers import Answer, Said, Shown
from mammogan.reader.statistics.detection import auc_of, detection, detection_of
from mammogan.reader.statistics.paper_p import paper_p, published_p
from mammogan.reader.statistics.reading_time import accuracy_by_part, time_ratio, trend

ORDINAL = Path(__file__).parent / "ordinal.csv"


def test_intervals_and_adjustments_have_published_values() -> None:
    low, high = proportions.Share(81, 263).interval or (0, 0)
    assert (low, high) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    assert proportions.Share(15, 148).interval == pytest.approx((0.0624, 0.1605), abs=5e-5)
    found = proportions.compare(proportions.Share(48, 80), proportions.Share(56, 70))
    assert found and (found.low, found.high) == pytest.approx((0.0524, 0.3339), abs=5e-5)
    assert proportions.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert proportions.mcnemar_exact(6, 16) == pytest.approx(0.0525, abs=5e-5)


@pytest.mark.parametrize(
    ("first", "second", "n", "p", "fisher"),
    [
        (0.71, 0.67, 182, 0.1214, 0.50),
        (0.61, 0.65, 219, 0.110, 0.49),
        (0.68, 0.84, 36.5, 0.0102, 0.16),
        (0.34, 0.59, 36.5, 0.0009, 0.033),
        (0.39, 0.32, 36.5, 0.188, 0.81),
        (0.53, 0.72, 182, 0.0, 0.0002),
    ],
)
def test_the_paper_p_and_fisher_on_the_papers_own_cells(
    first: float, second: float, n: float, p: float, fisher: float
) -> None:
    error = float(np.mean([np.sqrt(share * (1 - share) / n) for share in (first, second)]))
    assert published_p(second - first, error) == pytest.approx(p, abs=6e-4)
    found = proportions.compare(*(proportions.Share(round(share * n), round(n)) for share in (first, second)))
    assert found and found.p == pytest.approx(fisher, abs=0.006)


def test_the_paper_p_takes_equal_groups_in_reading_order_and_drops_the_rest() -> None:
    alternating = [True, False] * 10
    halves = [True] * 10 + [False] * 10
    spread = np.std([1] * 5 + [0] * 5, ddof=1) / np.sqrt(10)
    p = paper_p([alternating, halves + [True] * 9], 0, 1)
    difference = 0.5 - 19 / 29
    assert p == pytest.approx(published_p(difference, spread / 2))
    assert paper_p([alternating, alternating], 0, 1) is None, "no group differs from another: there is no error"
    assert paper_p([alternating, [True] * 9], 0, 1) is None


def test_sensitivity_and_criterion_have_published_values() -> None:
    found = detection(20, 25, 10, 25)
    assert found and (found.d_prime, found.criterion) == pytest.approx((1.044499, -0.278845), abs=5e-7)
    perfect = detection(25, 25, 0, 25)
    assert perfect and (perfect.d_prime, perfect.criterion) == pytest.approx((4.139804, 0), abs=5e-7)
    assert detection(3, 3, 0, 0) is None


def test_the_interval_of_d_prime_covers_the_truth() -> None:
    draws = np.random.default_rng(0)
    covered = 0
    for _ in range(400):
        found = detection(draws.binomial(218, 0.69146), 218, draws.binomial(218, 0.30854), 218)  # d' 1, c 0
        assert found
        covered += found.low <= 1.0 <= found.high
    assert 0.92 <= covered / 400 <= 0.98


def counts(real: tuple[int, int, int], fake: tuple[int, int, int]) -> list[Answer]:
    """Answers of one reader: how often originals and fakes were called real, unsure, not real."""
    said: tuple[Said, ...] = ("real", "unsure", "not real")
    kinds: list[tuple[Shown, Said]] = []
    for shown, of_shown in (("real", real), ("fake", fake)):
        kinds += [(shown, what) for what, n in zip(said, of_shown, strict=True) for _ in range(n)]  # type: ignore[misc]
    return [answer(i, shown, what) for i, (shown, what) in enumerate(kinds)]


def answer(position: int, shown: Shown, said: Said, reader: str = "R1", milliseconds: int = 1000) -> Answer:
    key = f"k{position}"
    return Answer(reader, 3, position, key, f"p{position}", shown, "negative", said, milliseconds, milliseconds, False)


def test_the_area_of_three_ordered_answers_counts_ties_as_one_half() -> None:
    assert auc_of(counts((50, 20, 30), (20, 20, 60))) == pytest.approx(0.680)


def test_unsure_counts_as_not_detected_or_as_detected() -> None:
    answers = counts((50, 20, 30), (20, 20, 60))
    assert detection_of(answers) == detection(60, 100, 30, 100)
    assert detection_of(answers, unsure_is_fake=True) == detection(80, 100, 50, 100)


def test_unsure_is_wrong_half_right_or_left_out() -> None:
    answers = counts((5, 3, 2), (0, 0, 0))
    found = [proportions.accuracy(answers, way).value for way in ("wrong", "half", "left out")]
    assert found == pytest.approx([0.5, 0.65, 5 / 7])


def test_agreement_is_fleiss_kappa_of_the_three_answers() -> None:
    # Nine images, five readers; kappa by its definition: (P - Pe) / (1 - Pe)
    table = [
        (5, 0, 0),
        (3, 1, 1),
        (0, 5, 0),
        (1, 2, 2),
        (0, 0, 5),
        (4, 1, 0),
        (2, 2, 1),
        (0, 1, 4),
        (5, 0, 0),
        (0, 3, 2),
    ]
    said: tuple[Said, ...] = ("real", "unsure", "not real")
    answers = []
    for place, row in enumerate(table):
        words = [what for what, n in zip(said, row, strict=True) for _ in range(n)]
        answers += [answer(place, "real", what, f"R{i}") for i, what in enumerate(words)]
    n = 5
    each = np.mean([(np.square(row).sum() - n) / (n * (n - 1)) for row in np.array(table)])
    chance = np.square(np.array(table).sum(0) / (n * len(table))).sum()
    assert agreement(answers) == pytest.approx((each - chance) / (1 - chance))
    assert agreement([a for a in answers if a.reader == "R1"]) is None


def ordinal() -> tuple[np.ndarray, np.ndarray]:
    """Two tests, four readers, 30 cases, three answers."""
    with open(ORDINAL, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    names = {column: sorted({row[column] for row in rows}, key=int) for column in ("treatment", "reader", "case")}
    scores = np.full(tuple(len(names[column]) for column in names), np.nan)
    truth = np.zeros(len(names["case"]), dtype=bool)
    for row in rows:
        place = tuple(names[column].index(row[column]) for column in names)
        scores[place] = float(row["rating"])
        truth[place[2]] = row["truth"] == "1"
    assert not np.isnan(scores).any()
    return scores, truth


def test_readers_as_a_sample_agree_with_mrmcaov() -> None:
    found = mrmc.same_cases(*ordinal())
    expected = [[0.7133, 0.6133, 0.7444, 0.6867], [0.7889, 0.7333, 0.7422, 0.7667]]
    assert found.figures == pytest.approx(np.array(expected), abs=5e-5)
    assert (found.cov1, found.cov2, found.cov3) == pytest.approx((0.00095260, 0.00135742, 0.00125452), abs=5e-9)
    assert (found.f, found.degrees, found.p) == pytest.approx((5.4372566, 5.1890464, 0.06517848), rel=1e-7)
    assert found.low < found.difference < found.high


def test_with_delongs_covariances_it_agrees_with_mrmcaov_too() -> None:
    found = mrmc.same_cases(*ordinal(), covariance_of=mrmc.delong)
    assert (found.f, found.p) == pytest.approx((5.4825623, 0.065211077), rel=1e-7)
    with pytest.raises(ValueError, match="that of the AUC"):
        mrmc.same_cases(*ordinal(), metric=lambda scores, _: float(scores.mean()), covariance_of=mrmc.delong)


def test_cases_nested_in_tests_share_nothing_between_tests() -> None:
    scores, truth = ordinal()
    found = mrmc.other_cases([scores[0], scores[1]], [truth, truth])
    assert (found.cov1, found.cov3) == (0, 0)
    same = mrmc.same_cases(scores, truth)
    assert found.cov2 == pytest.approx(same.cov2) and found.variance == pytest.approx(same.variance)
    assert found.p > same.p, "what pairing explains is lost"


def test_readers_that_do_not_differ_in_their_change_give_infinite_degrees_of_freedom() -> None:
    scores, truth = ordinal()
    one = scores[:, :1].repeat(4, axis=1)
    found = mrmc.same_cases(one, truth)
    assert np.isinf(found.degrees) and 0 < found.p < 1


def test_readers_who_are_exactly_alike_show_nothing_of_others() -> None:
    # One finds every fake, one says "real" to all, one guesses as well as before: no change differs from another.
    truth = np.arange(8) < 4
    perfect, never, guesses = truth.astype(float), np.zeros(8), np.arange(8) % 2.0
    found = mrmc.other_cases([np.array([perfect, never, guesses])] * 2, [truth, truth])
    assert (found.difference, found.f, found.p, found.low, found.high) == (0, None, None, None, None)
    assert found.singles[0].low is not None, "the readers themselves differ"
    alike = mrmc.same_cases(np.array([[perfect] * 3] * 2), truth)
    assert (alike.f, alike.singles[0].mean, alike.singles[0].within_range) == (None, 1, (None, None))


def test_one_fake_or_one_original_is_too_few_to_speak_of_other_images() -> None:
    truth = np.arange(8) < 1
    scores = np.random.default_rng(0).integers(0, 3, (3, 8)).astype(float)
    with pytest.raises(UserError, match=r"7 originals and 1 fakes .* at least 2 of each"):
        mrmc.other_cases([scores, scores], [truth, truth])


def test_two_readers_cannot_stand_for_all_readers() -> None:
    scores, truth = ordinal()
    with pytest.raises(UserError, match="at least 3"):
        mrmc.same_cases(scores[:, :2], truth)


@pytest.mark.parametrize(
    ("n", "change", "expected"),
    [(218, 0.08, 0.33), (218, 0.14, 0.81), (182, 0.10, 0.43), (37, 0.14, 0.17), (37, 0.19, 0.29)],
)
def test_power_is_that_of_simulations(n: int, change: float, expected: float) -> None:
    assert power.power(n, n, change) == pytest.approx(expected, abs=0.05)


def test_a_cell_of_37_images_shows_no_small_change() -> None:
    smallest = power.smallest_visible_change(37, 37)
    assert smallest is not None and 0.28 <= smallest <= 0.38
    assert power.smallest_visible_change(3, 3) is None


def test_a_reader_who_learns_within_a_session_shows_a_trend() -> None:
    draws = np.random.default_rng(1)
    learning = [answer(i, "real", "real" if draws.random() < i / 200 else "not real") for i in range(200)]
    found = trend(learning)
    assert found and found.change > 0.7 and found.p < 1e-6
    parts = [share.value or 0 for share in accuracy_by_part(learning)]
    assert len(parts) == 10 and parts[0] < 0.3 < 0.7 < parts[-1]
    assert trend([answer(i, "real", "real") for i in range(20)]) is None


def test_a_reader_who_gets_faster_has_a_ratio_below_one() -> None:
    draws = np.random.default_rng(2)
    first, second = (
        [answer(i, "real", "real", milliseconds=int(1000 * t)) for i, t in enumerate(draws.lognormal(m, 0.5, 200))]
        for m in (2.3, 2.0)
    )
    found = time_ratio(first, second)
    assert found and found.low < np.exp(-0.3) < found.high < 1 and found.p < 1e-3
