"""Items over processes: in order, and no item takes others along when it kills its process."""

from __future__ import annotations

import os
import time

import pytest

from mammogan.data.workers import in_order


def square(number: int) -> int:
    time.sleep(0.05 if number % 3 == 0 else 0)
    return number * number


def square_or_die(number: int) -> int:
    if number == 5:
        os._exit(11)
    return square(number)


def refuse(number: int) -> int:
    raise ValueError(f"no {number}")


@pytest.mark.parametrize("jobs", [1, 2])
def test_results_come_in_the_order_of_the_items(jobs: int) -> None:
    assert list(in_order(square, range(20), jobs)) == [n * n for n in range(20)]


def test_only_the_item_that_kills_its_process_is_lost() -> None:
    assert list(in_order(square_or_die, range(12), 2)) == [None if n == 5 else n * n for n in range(12)]


def test_an_exception_of_the_function_is_raised_here() -> None:
    with pytest.raises(ValueError, match="no 0"):
        list(in_order(refuse, range(3), 2))
