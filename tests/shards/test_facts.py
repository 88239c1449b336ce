"""The JSON of a sample is checked where it is read: a fact of another type is refused by name."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from dicoms import write_cohort

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.inspect.verify import OPTIONAL
from mammogan.data.shards.facts import FACTS, MADE, UNKNOWN, USED, parse_facts
from mammogan.data.shards.reader import read_shard
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
SHARD = "test-positive-000000.tar"
OTHERS: tuple[Any, ...] = ("7", 7, 7.5, True, None, [], ["7", 7], {}, {"7": 7})
"""Values of every type of JSON; none of them is a fact's, but where the types are."""


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("finished")
    convert_cohort(write_cohort(root / "cohort", patients=12), Workspace(root / "work"), [SIZE], jobs=1)
    return root / "work"


@pytest.fixture
def facts(finished: Path) -> dict[str, Any]:
    return next(read_shard(Workspace(finished).shards(SIZE) / SHARD)).facts


def is_refused(facts: dict[str, Any]) -> str:
    try:
        parse_facts(json.dumps(facts).encode())
    except ValueError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("name", [*FACTS, *MADE])
def test_a_fact_of_another_type_is_refused_by_its_name(facts: dict[str, Any], name: str) -> None:
    shape = (FACTS | MADE)[name]
    kind = shape if isinstance(shape, type) else type(shape)
    for other in OTHERS:
        told = is_refused(facts | {name: other})
        if type(other) is not kind and not (other is None and name in UNKNOWN):
            assert told.startswith(f"in its JSON, {name}: expected"), (name, other, told)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"flags": ["film", 3]}, r"flags[1]: expected text, found a whole number"),
        ({"spacing_mm": [0.1, "0.1"]}, "spacing_mm[1]: expected a whole number or a number, found text"),
        ({"spacing_mm": [0.1]}, "spacing_mm: expected two numbers, found 1"),
        ({"voi": {"policy": 3}}, "voi.policy: expected text, found a whole number"),
        ({"voi": {}}, "voi.policy is missing"),
        ({"placement": {}}, "placement.source_shape is missing"),
        ({"y_cancer": True}, "y_cancer: expected a whole number, found bool"),
        ({"spacing_mm": None}, ""),
        ({"of a later version": 3}, ""),
    ],
)
def test_what_a_list_or_a_mapping_among_the_facts_holds_is_checked_too(
    facts: dict[str, Any], change: dict[str, Any], told: str
) -> None:
    assert told in is_refused(facts | change) and bool(told) == bool(is_refused(facts | change))


def test_a_placement_needs_two_numbers_for_height_and_width(facts: dict[str, Any]) -> None:
    told = is_refused(facts | {"placement": facts["placement"] | {"offset": [1, 2, 3]}})
    assert told == "in its JSON, offset: expected two numbers, found 3"
    assert not is_refused(facts | {"placement": facts["placement"] | {"region": [0, 9, 0, 9]}})


def test_only_what_earlier_versions_did_not_write_may_be_missing(facts: dict[str, Any]) -> None:
    assert all(is_refused({n: v for n, v in facts.items() if n != name}) == f"{name} is missing" for name in USED)
    assert not OPTIONAL & {*USED} and {*facts} >= {*FACTS} - OPTIONAL


def test_numbers_that_json_does_not_have_are_refused(facts: dict[str, Any]) -> None:
    assert is_refused(facts | {"spacing_mm": [float("nan"), 1.0]}) == "its JSON has NaN, which is no number"
