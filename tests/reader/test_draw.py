"""The draw of the five sessions: the rules hold for every cohort, and small cohorts are scaled and said so."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from cohorts_to_read import cohort, of_the_paper
from hypothesis import given, settings
from hypothesis import strategies as st

from mammogan.errors import UserError
from mammogan.reader.drawing.draw import HALF, Candidate, Drawing, Rules, draw, stratified

COHORTS = {"study": (366, 918), "half": (170, 430), "small": (20, 40), "tiny": (3, 3)}
"""Positive and negative patients; the last two have 40 and 12 images in validation and test."""


def sizes(drawing: Drawing) -> list[int]:
    return [len(images) for images in drawing.sessions.values()]


def cells(drawing: Drawing, session: int) -> Counter:
    return Counter((one.shown, one.label) for one in drawing.sessions[session])


def assert_rules_hold(drawing: Drawing, pool: list[Candidate]) -> None:
    split = {one.key: one.split for one in pool}
    has_fake = {one.key for one in pool if one.has_fake}
    assert list(drawing.sessions) == [1, 2, 3, 4, 5]
    keys = [one.key for images in [*drawing.sessions.values(), drawing.practice] for one in images]
    assert len(keys) == len(set(keys)), "an image is shown twice"
    for number, images in drawing.sessions.items():
        assert images
        for one in images:
            assert (split[one.key] == "train") == (number in (1, 2, 4))
            assert one.shown == "real" or one.key in has_fake
    assert {one.patient for one in drawing.sessions[3]}.isdisjoint(one.patient for one in drawing.sessions[5])
    for number in (3, 5):
        counts = Counter(one.shown for one in drawing.sessions[number])
        assert counts["real"] == counts["fake"] >= 2
        by_label = cells(drawing, number)
        assert all(abs(by_label["real", label] - by_label["fake", label]) <= 1 for label in ("positive", "negative"))
    assert {one.shown for number in (1, 2) for one in drawing.sessions[number]} == {"real"}
    assert {one.shown for one in drawing.sessions[4]} == {"triplet"}
    assert all(one.shown == "real" and split[one.key] == "train" for one in drawing.practice)


@pytest.mark.parametrize("patients", COHORTS.values(), ids=COHORTS)
def test_the_rules_hold_for_large_and_small_cohorts(patients: tuple[int, int]) -> None:
    pool = cohort(*patients)
    assert_rules_hold(draw(pool, Rules(), 0), pool)


def test_the_study_has_its_numbers_and_nothing_to_note() -> None:
    drawing = draw(cohort(366, 918), Rules(), 0)
    assert sizes(drawing) == [100, 100, 436, 100, 440] and drawing.notes == []
    assert len(drawing.practice) == 3
    assert cells(drawing, 4) == {("triplet", "positive"): 17, ("triplet", "negative"): 83}


@pytest.mark.parametrize("seed", range(5))
def test_every_image_of_validation_and_test_is_shown_when_there_are_just_enough(seed: int) -> None:
    drawing = draw(of_the_paper(), Rules(), seed)
    assert sizes(drawing) == [100, 100, 436, 100, 440] and drawing.notes == []
    for number, half in HALF.items():
        found = cells(drawing, number)
        assert {label: found["real", label] + found["fake", label] for label in ("positive", "negative")} in (
            {"positive": 74, "negative": 2 * half - 74},
            {"positive": 72, "negative": 2 * half - 72},
            {"positive": 76, "negative": 2 * half - 76},
        )


@pytest.mark.parametrize(
    ("patients", "expected"), [((170, 430), [100, 100, 204, 100, 206]), ((20, 40), [53, 53, 18, 53, 20])]
)
def test_small_cohorts_are_scaled_in_proportion_and_said_so(patients: tuple[int, int], expected: list[int]) -> None:
    drawing = draw(cohort(*patients), Rules(), 0)
    assert sizes(drawing) == expected
    assert f"Sessions 3 and 5 have {expected[2]} and {expected[4]} images, not 436 and 440" in drawing.notes[0]
    assert any("100" in note and "training" in note for note in drawing.notes[1:]) == (expected[0] < 100)


def test_a_tiny_cohort_says_which_cells_are_empty() -> None:
    drawing = draw(cohort(3, 3), Rules(), 0)
    empty = [
        (number, shown, label)
        for number in (3, 5)
        for shown, label in (("real", "positive"), ("real", "negative"), ("fake", "positive"), ("fake", "negative"))
        if not cells(drawing, number)[shown, label]
    ]
    assert empty and sum("n/a in tables" in note for note in drawing.notes) == len(empty)


def test_a_cohort_that_is_too_small_is_refused_with_its_numbers() -> None:
    pool = [replace(one, has_fake=one.label == "positive") for one in cohort(3, 3)]
    with pytest.raises(UserError, match=r"4 mammograms of 2 patients .* gives 0 and 2 images"):
        draw(pool, Rules(), 0)


def test_session_4_needs_adversarial_images_of_training_mammograms() -> None:
    pool = [replace(one, has_fake=one.split != "train") for one in cohort(20, 40)]
    with pytest.raises(UserError, match=r"session 4 needs at least 1 .* found 0"):
        draw(pool, Rules(), 0)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 40), st.integers(0, 40), st.floats(0.2, 1), st.integers(0, 10**6))
def test_the_rules_hold_for_any_cohort_that_is_not_refused(
    positive: int, negative: int, made: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    pool = [replace(one, has_fake=bool(rng.random() < made)) for one in cohort(positive, negative, seed)]
    try:
        drawing = draw(pool, Rules(), seed)
    except UserError as error:
        assert "at least" in str(error)
        return
    assert_rules_hold(drawing, pool)


def test_a_seed_gives_the_same_draw_in_any_order_of_the_cohort_and_another_seed_another() -> None:
    pool = cohort(40, 80)
    once = draw(pool, Rules(), 5)
    assert draw(pool[::-1], Rules(), 5) == once
    other = draw(pool, Rules(), 6)
    assert {o.key for o in other.sessions[4]} != {o.key for o in once.sessions[4]}
    assert {(o.key, o.shown) for o in other.sessions[3]} != {(o.key, o.shown) for o in once.sessions[3]}


def test_a_rehearsal_is_scaled_as_requested() -> None:
    drawing = draw(cohort(366, 918), Rules(scale=0.05), 0)
    assert sizes(drawing) == [5, 5, 20, 5, 22]
    assert any("--scale 0.05 was given" in note for note in drawing.notes)


def test_session_4_may_overlap_with_the_first_sessions_as_in_the_paper() -> None:
    pool = cohort(20, 40)
    drawing = draw(pool, Rules(session_4_overlap=True), 0)
    first, second, fourth = ({one.key for one in drawing.sessions[number]} for number in (1, 2, 4))
    assert sizes(drawing)[:2] == [80, 80] and first.isdisjoint(second) and fourth & (first | second)


def test_session_4_with_feedback_shows_single_images_half_of_them_adversarial() -> None:
    drawing = draw(cohort(366, 918), Rules(session_4_feedback=True), 0)
    assert Counter(one.shown for one in drawing.sessions[4]) == {"real": 50, "fake": 50}


def test_session_4_takes_only_training_mammograms_that_have_an_adversarial_image() -> None:
    pool = [replace(one, has_fake=one.split != "train" or one.key.endswith("-0")) for one in cohort(20, 40)]
    drawing = draw(pool, Rules(), 0)
    assert all(one.key.endswith("-0") for one in drawing.sessions[4])
    assert any("Session 4 has 48 places, not 53" in note for note in drawing.notes)


def test_strata_follow_the_proportion_by_largest_remainder() -> None:
    pool = cohort(20, 40)
    rng = np.random.default_rng(0)
    chosen = stratified(pool, 10, {"negative": 160, "positive": 40}, rng)
    assert Counter(one.label for one in chosen) == {"negative": 8, "positive": 2}
    few = [one for one in pool if one.label == "positive"][:1] + [one for one in pool if one.label == "negative"]
    chosen = stratified(few, 10, {"negative": 80, "positive": 120}, rng)
    assert Counter(one.label for one in chosen) == {"negative": 9, "positive": 1}
