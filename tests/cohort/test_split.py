"""The split by patient: each by a hash of her own, so that nobody moves when others join."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mammogan.data.cohort.cohort import assign, split_patients
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.cohort.split import POSITIONS, TENTHS, divide, position
from mammogan.data.cohort.table import Row
from mammogan.errors import UserError
from mammogan.workspace import SPLITS

SEEDS = st.integers(0, 1000)


def row(number: int, patient: str, label: str = "negative") -> Row:
    return Row(number, f"{number}.dcm", patient, "L", "CC", label, None, None)  # type: ignore[arg-type]


def rows_of(positive: int, negative: int) -> list[Row]:
    """Two images of each patient; positive ones come first."""
    labels = ["positive"] * positive + ["negative"] * negative
    return [row(n, f"patient {n // 2}", labels[n // 2]) for n in range(2 * len(labels))]


def by_position(seed: int, patient: str) -> str:
    place = position(seed, patient) / POSITIONS
    return "test" if place < 0.1 else "validation" if place < 0.2 else "train"


def test_a_study_sized_split_is_about_80_10_10_of_each_label_and_no_patient_is_moved() -> None:
    for seed in range(20):
        division = split_patients(rows_of(366, 918), seed)
        assert not division.moved
        counts = Counter((int(patient.split()[1]) < 366, split) for patient, split in division.splits.items())
        for positive, patients in ((True, 366), (False, 918)):
            for split in ("validation", "test"):
                assert abs(counts[positive, split] - patients / 10) < 4 * (patients * 0.09) ** 0.5
        assert all(split == by_position(seed, patient) for patient, split in division.splits.items())


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 120), st.integers(3, 120), st.integers(0, 120), st.integers(0, 120), SEEDS)
def test_new_patients_move_no_other_patient_unless_the_cohort_is_small(
    positive: int, negative: int, more_positive: int, more_negative: int, seed: int
) -> None:
    rows = rows_of(positive, negative)
    joined = [row(n, f"new {n}", "positive" if n < more_positive else "negative") for n in range(more_positive)]
    joined += [row(n, f"other {n}") for n in range(more_negative)]
    before, after = split_patients(rows, seed), split_patients([*rows, *joined], seed)
    if not before.moved and not after.moved:
        assert all(after.splits[patient] == split for patient, split in before.splits.items())
    differ = sum(after.splits[patient] != split for patient, split in before.splits.items())
    assert differ <= before.moved + after.moved


@settings(max_examples=60, deadline=None)
@given(st.integers(4, 120), st.integers(3, 120), SEEDS)
def test_a_corrected_label_moves_no_patient_unless_the_cohort_is_small(positive: int, negative: int, seed: int) -> None:
    rows = rows_of(positive, negative)
    corrected = [row(n, r.patient, "negative" if n < 2 else r.label) for n, r in enumerate(rows)]
    before, after = split_patients(rows, seed), split_patients(corrected, seed)
    if not before.moved and not after.moved:
        assert before == after


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 60), st.integers(3, 60), SEEDS, st.randoms(use_true_random=False))
def test_every_split_gets_patients_of_each_label_whatever_the_order_of_rows(
    positive: int, negative: int, seed: int, shuffler: random.Random
) -> None:
    rows = rows_of(positive, negative)
    division = split_patients(rows, seed)
    assert set(division.splits) == {r.patient for r in rows}
    for members in (range(positive), range(positive, positive + negative)):
        counts = Counter(division.splits[f"patient {n}"] for n in members)
        assert set(counts) == set(SPLITS)
        assert all(2 * counts[split] >= len(members) * TENTHS[split] / 10 for split in ("validation", "test"))
    shuffler.shuffle(rows)
    assert split_patients(rows, seed) == division


@settings(max_examples=60, deadline=None)
@given(st.integers(3, 200), SEEDS)
def test_only_patients_next_to_a_border_are_moved_and_no_more_than_needed(patients: int, seed: int) -> None:
    names = [f"patient {n}" for n in range(patients)]
    division = divide(names, seed, TENTHS)
    order = [division.splits[name] for name in sorted(names, key=lambda name: position(seed, name))]
    assert order == sorted(order, key=list(TENTHS).index)
    assert division.moved == sum(division.splits[name] != by_position(seed, name) for name in names)
    natural = Counter(by_position(seed, name) for name in names)
    if all(natural[split] and 20 * natural[split] >= patients * share for split, share in TENTHS.items()):
        assert not division.moved


def test_a_patient_with_one_positive_image_is_positive_with_all_images() -> None:
    rows = [*rows_of(3, 3), row(99, "patient 4", "positive"), row(98, "new")]
    splits = split_patients(rows, seed=0).splits
    assert Counter(splits[f"patient {n}"] for n in (0, 1, 2, 4)) == {"train": 2, "validation": 1, "test": 1}


def test_another_seed_gives_another_split() -> None:
    assert split_patients(rows_of(30, 30), 0) != split_patients(rows_of(30, 30), 1)


def test_too_few_patients_to_split_is_an_error_that_counts_them() -> None:
    with pytest.raises(UserError, match="found 2 positive"):
        split_patients(rows_of(2, 9), seed=0)


def test_that_patients_were_moved_is_said_in_a_sentence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assign(rows_of(4, 4), tmp_path, Pseudonyms(b"s" * 16), seed=0)
    assert "The cohort is small: " in (said := capsys.readouterr().out) and "next to a border" in said
    assign(rows_of(366, 918), tmp_path, Pseudonyms(b"s" * 16), seed=0)
    assert capsys.readouterr().out == ""
