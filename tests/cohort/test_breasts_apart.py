"""A woman with an identifier for each breast is noticed by what her images show; many such women are refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from archives.miniature import Miniature
from archives.scanning import scanned
from dicoms import breast, write_mammogram, write_table

from mammogan.data.cohort.breasts_apart import Shown, breasts_apart_warnings, breasts_surely_apart
from mammogan.data.cohort.table import TableError, read_table
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SAID = "identifiers that differ only in the side or view, such as P001L and P001R"


def shown(*images: str) -> list[Shown]:
    """Return images that are each given as identifier, side and view."""
    return [Shown(line, *image.rsplit(" ", 2)) for line, image in enumerate(images, 2)]


def warned(*images: str) -> Sequence[str]:
    return breasts_apart_warnings(shown(*images))


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("K17L", "K17R"),
        ("K17_L", "K17_R"),
        ("K17_LEFT", "k17 right"),
        ("K17-LCC", "K17-RCC"),
        ("L_K17", "R_K17"),
        ("17-links", "17-rechts"),
        ("17\u5de6", "17\u53f3"),
        ("R-17-L", "R-17-R"),  # a centre called R
        ("K17L-1", "K17R-1"),
    ],
)
def test_an_identifier_for_each_breast_is_warned_of_and_not_quoted(left: str, right: str) -> None:
    [warning] = warned("9 L CC", f"{left} L CC", "8 R CC", f"{right} R CC", f"{left} L CC")
    assert warning.startswith("1 patient has") and SAID in warning and "lines 3 and 5 of the table" in warning
    assert "17" not in warning


def test_an_identifier_for_each_view_is_warned_of() -> None:
    views = [f"K17_{side}{view} {side} {view}" for side in "LR" for view in ("CC", "MLO")]
    assert len(warned(*views)) == len(warned(*views[:2])) == len(warned("K17 CC L CC", "K17 MLO L MLO")) == 1


@pytest.mark.parametrize(
    "honest",
    [
        ("K17L L CC", "K17L R CC", "K17R R CC", "K17R L CC"),  # two women, each with both breasts
        ("K17L L CC", "K17R L CC"),
        ("K17L L CC", "K18R R CC"),
        ("L L CC", "R R CC"),
        ("KARL L CC", "KARR R CC"),
        ("LK17 L CC", "RK17 R CC"),
        ("K17LCC L MLO", "K17RCC R CC"),
        ("K17L L CC", "K17L L MLO"),
        # women of the centres L and R, each with one image
        ("L1 L CC", "R1 R CC", "L2 L CC", "R2 L CC", "L3 R CC", "R3 R CC"),
    ],
)
def test_other_identifiers_are_not(honest: Sequence[str]) -> None:
    assert warned(*honest) == [] and not breasts_surely_apart(shown(*honest))


def test_many_women_are_sure_unless_something_speaks_against_it() -> None:
    many = [f"K{number}{side} {side} CC" for number in range(5) for side in "LR"]
    assert breasts_surely_apart(shown(*many)) == [(2, 3), (4, 5), (6, 7), (8, 9), (10, 11)]
    assert not breasts_surely_apart(shown(*many[:8]))
    assert not breasts_surely_apart(shown(*many, "K7L R CC", "K7R R CC"))
    [warning] = warned(*many, "K7L R CC", "K7R R CC")
    assert warning.startswith("5 patients have")


def table_of(folder: Path, women: int) -> Path:
    rows = []
    for number in range(women):
        for side in "LR":
            name = f"{number}{side}.dcm"
            pixels = breast(seed=2 * number + (side == "R"))
            write_mammogram(
                folder / name, pixels if side == "L" else pixels[:, ::-1].copy(), side, without=("PatientID",)
            )
            rows.append((name, f"K{number}7{side}", side, "CC", ("positive", "negative")[number % 2]))
    return write_table(folder / "mine.csv", rows)


def test_the_conversion_and_the_scan_warn_of_few_and_refuse_many(tmp_path: Path) -> None:
    few, many = table_of(tmp_path / "few", 4), table_of(tmp_path / "many", 5)
    report = convert_cohort(few, Workspace(tmp_path / "work"), [Resolution(96, 96)], jobs=1)
    assert sum(SAID in line for line in report.lines()) == 1
    said = [*scanned(Miniature(few.parent).root, tmp_path / "few.csv").lines()]
    assert sum(line.startswith("note: 4 patients have") and SAID in line for line in said) == 1
    with pytest.raises(TableError) as caught:
        read_table(many)
    told = str(caught.value)
    assert (
        "5 faults" in told and "line 3, patient: expected the identifier of line 2, found it with another side" in told
    )
    assert "give all her rows one identifier, without the side" in told and "K07" not in told
    with pytest.raises(UserError, match="5 patients have identifiers such as P001L and P001R in the tables; one woman"):
        scanned(Miniature(many.parent).root, tmp_path / "many.csv")
