"""The order in which a reader sees a session: random, their own, with a patient's images well apart."""

from __future__ import annotations

import pytest
from cohorts_to_read import cohort

from mammogan.reader.drawing.draw import Rules, draw
from mammogan.reader.drawing.orders import GAP, order_of, smallest_gap

PATIENTS = [one.patient for one in draw(cohort(366, 918), Rules(), 0).sessions[3]]
"""Of the 436 places of session 3: up to four of one patient."""


@pytest.mark.parametrize("reader", range(5))
def test_a_patients_images_are_ten_places_apart_in_every_order_of_the_study(reader: int) -> None:
    order, gap = order_of(PATIENTS, 1, 3, reader)
    assert sorted(order) == list(range(len(PATIENTS)))
    assert gap == smallest_gap([PATIENTS[place] for place in order]) == GAP


def test_each_reader_session_and_seed_has_an_order_of_its_own_which_stays_the_same() -> None:
    orders = [order_of(PATIENTS, *which)[0] for which in ((1, 3, 0), (1, 3, 1), (1, 5, 0), (2, 3, 0))]
    assert all(orders[i] != orders[j] for i in range(4) for j in range(i))
    assert order_of(PATIENTS, 1, 3, 0)[0] == orders[0]


def test_places_come_in_no_preferred_order() -> None:
    firsts = [order_of(PATIENTS, seed, 3, 0)[0].index(0) for seed in range(60)]
    assert 0.3 < sum(firsts) / len(firsts) / len(PATIENTS) < 0.7


@pytest.mark.parametrize(
    ("patients", "largest"),
    [("aabbcc", 3), ("aaaa", 1), ("aabcdefghijklmnopqrst", 10), ("abc", 10), ("", 10), ("aab", 2)],
)
def test_few_patients_get_the_largest_gap_that_there_is(patients: str, largest: int) -> None:
    order, gap = order_of(list(patients), 0, 3, 0)
    assert gap == largest == smallest_gap([patients[place] for place in order])
