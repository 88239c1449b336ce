"""Women with an identifier for each visit are warned of."""

from __future__ import annotations

import pytest

from mammogan.data.cohort.breasts_apart import Shown
from mammogan.data.cohort.one_woman import one_woman_warnings


def warned(first: str, second: str, women: int = 3) -> list[str]:
    patients = [f"P00{number}{visit}" for number in range(women) for visit in (first, second)]
    return one_woman_warnings([Shown(line, patient, "L", "CC") for line, patient in enumerate(patients, 2)])


@pytest.mark.parametrize(
    ("first", "second"),
    [("_V1", "_V2"), ("-T0", "-T1"), ("_baseline", "_followup"), ("_2015", "_2017"), ("_pre", "_post")],
)
def test_an_identifier_for_each_visit_is_warned_of_once_and_not_quoted(first: str, second: str) -> None:
    [warning] = warned(first, second)
    assert warning.startswith("3 patients have identifiers that differ only in the visit")
    assert "lines 2 and 3 of the table are the first" in warning and "P002" not in warning


def test_numbers_alone_and_one_woman_are_not() -> None:
    assert warned("_1", "_2") == warned("_V1", "_V2", women=1) == warned("_V1", "_V1") == []
