"""Which day a cell means is decided by its column; what can be read in two ways is refused."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import pytest
from archives import embed
from archives.scanning import outcome, scanned

from mammogan.data.archives.days import days_of
from mammogan.errors import UserError

CLINICAL = "tables/EMBED_OpenData_clinical.csv"


def read(*cells: str) -> Sequence[str]:
    days = days_of(cells, "day")
    return [str(days[cell]) for cell in cells]


@pytest.mark.parametrize("mark", "-/.")
def test_two_digits_that_may_be_the_year_or_the_day_are_refused(mark: str) -> None:
    for cells in (("15-01-12", "15-09-20"), ("20-01-15", "03-04-12")):
        with pytest.raises(UserError, match="day: expected days that can be read in one way"):
            read(*(cell.replace("-", mark) for cell in cells))


@pytest.mark.parametrize("mark", "-/.")
@pytest.mark.parametrize(
    ("cells", "days"),
    [
        (("98-01-20", "15-01-12"), ["1998-01-20", "2015-01-12"]),  # no day or month is 98
        (("20-01-15", "03-04-98"), ["2015-01-20", "1998-04-03"]),  # no day is 98
        (("20-1-15", "3-4-12"), ["2015-01-20", "2012-04-03"]),  # no year is written as 3
        (("01-20-15", "03-04-12"), ["2015-01-20", "2012-03-04"]),  # no month is 20
        (("3-22-2015", "1-12-2015"), ["2015-03-22", "2015-01-12"]),
        (("22-3-2015", "1-12-2015"), ["2015-03-22", "2015-12-01"]),
        (("22-3-2015", "1-12-15"), ["2015-03-22", "2015-12-01"]),
        (("2015-01-12", "2015-03-04"), ["2015-01-12", "2015-03-04"]),
        (("2015-12-01", "2015-20-03"), ["2015-01-12", "2015-03-20"]),
        (("2015-12-01", "2015-20-03", "2015-03-21"), ["None", "2015-03-20", "2015-03-21"]),
        (("22-3-2015", "0-0-0000", "31-12-9999"), ["2015-03-22", "None", "None"]),
    ],
)
def test_a_cell_that_fits_one_order_only_decides_its_column(cells: Sequence[str], days: list[str], mark: str) -> None:
    assert read(*(cell.replace("-", mark) for cell in cells)) == days


def test_days_with_points_are_decided_apart() -> None:
    assert read("25.05.2015", "1/20/2015", "3.4.2015") == ["2015-05-25", "2015-01-20", "2015-04-03"]
    assert read("20.01.2015", "2015-02-03") == ["2015-01-20", "2015-02-03"]
    with pytest.raises(UserError, match=r"day: 1\.20\.2015 .* may have exchanged day and month"):
        read("1.20.2015", "2015-02-03")
    with pytest.raises(UserError, match="expected days that can be read in one way"):
        read("1.2.2015", "2015-02-13")


@pytest.mark.parametrize("month", ["201511", "2015-11", "11/2015", "11.2015", "Nov 2015", "2015111"])
def test_a_month_is_no_day(month: str) -> None:
    assert read(month, "2015-01-20") == ["None", "2015-01-20"]


def test_a_year_of_two_digits_before_the_name_of_a_month_is_seen_by_the_others() -> None:
    assert read("98-Jan-12", "15-Feb-20") == ["1998-01-12", "2015-02-20"]
    assert read("12-Jan-98", "15-Feb-20") == ["1998-01-12", "2020-02-15"]


@pytest.mark.parametrize("form", ["{yy:02}-{m:02}-{d:02}", "{d:02}.{m:02}.{yy:02}"])
def test_a_scan_of_embed_refuses_them(form: str, tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    rewrite(made.root / CLINICAL, form)
    with pytest.raises(UserError, match="study_date_anon: expected days that can be read in one way"):
        scanned(made.root, tmp_path / "labels.csv")


def test_a_scan_of_embed_reads_the_month_before_a_point(tmp_path: Path) -> None:
    made = embed.write(tmp_path / "archive")
    rewrite(made.root / CLINICAL, "{m}.{d}.{y}")
    scanned(made.root, tmp_path / "labels.csv")
    assert outcome(made.root, tmp_path / "labels.csv") == made.expected


def rewrite(table: Path, form: str) -> None:
    """Write the days of a table in another form."""
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        y, m, d = map(int, row["study_date_anon"].split("-"))
        row["study_date_anon"] = form.format(y=y, m=m, d=d, yy=y % 100)
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
