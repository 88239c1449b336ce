"""Of several images of one exam, side and view the best is used, and the scan says what decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from archives.miniature import Miniature
from archives.scanning import outcome, rows_of, scanned
from dicoms import breast

DAY = {"AcquisitionDate": "20150102"}
MORNING, NOON = {**DAY, "AcquisitionTime": "0930"}, {**DAY, "AcquisitionTime": "120000.5"}
MOMENTS = "20150102093000", "20150102120000.25+0100"
LATER, EARLIER = {"InstanceNumber": 9}, {"InstanceNumber": 1}


def exam(root: Path, images: Sequence[Mapping[str, Any]], best: int) -> Miniature:
    """An archive with one view of one exam, taken several times."""
    made = Miniature(root)
    rows = []
    for number, elements in enumerate(images):
        name = f"{number}.dcm"
        made.image(name, "negative" if number == best else "repeated_view", StudyInstanceUID="1.2.3", **elements)
        rows.append((name, "1", "negative"))
    made.table("mine.csv", ("path", "patient", "label"), rows)
    return made


@pytest.mark.parametrize(
    ("images", "best", "decided_by"),
    [
        ([{"pixels": breast((110, 96)), **MORNING}, NOON], 0, "largest"),
        ([{**NOON, **EARLIER}, {**MORNING, **LATER}], 0, "latest by AcquisitionDate"),
        ([{"AcquisitionDateTime": at, **clock} for at, clock in zip(MOMENTS, (NOON, MORNING), strict=True)], 1, ""),
        ([{**NOON, "AcquisitionDate": "20150101", **LATER}, {**MORNING, **EARLIER}], 1, "latest by AcquisitionDate"),
        ([{"ContentDate": "20150102", "ContentTime": t} for t in ("100000", "100000.1", "0959")], 1, ""),
        ([{"SeriesNumber": 2, **EARLIER}, {"SeriesNumber": 1, **LATER}], 0, "latest by SeriesNumber"),
        ([{**NOON, "SeriesNumber": 1, **LATER}, {**NOON, "SeriesNumber": 2}], 1, "latest by SeriesNumber"),
        ([EARLIER, LATER], 1, "latest by InstanceNumber"),
        ([{**MORNING, **LATER}, {"ContentDate": "20150102", "ContentTime": "1100", **EARLIER}], 0, ""),
        ([DAY, {**DAY, **LATER}], 1, "latest by InstanceNumber"),
        ([{}, {}], 0, "first file"),
    ],
)
def test_the_largest_image_is_used_and_of_equally_large_ones_the_latest(
    tmp_path: Path, images: Sequence[Mapping[str, Any]], best: int, decided_by: str
) -> None:
    made, out = exam(tmp_path / "archive", images, best), tmp_path / "labels.csv"
    report = scanned(made.root, out)
    assert outcome(made.root, out) == made.expected
    if decided_by:
        told = f"the {decided_by} is preferred"
        assert [row["detail"] for row in rows_of(tmp_path / "labels.excluded.csv")] == [told]
        assert f"    1: {told}" in list(report.lines())


def test_what_decided_is_counted_and_no_time_leaves_the_headers(tmp_path: Path) -> None:
    images = [{**MORNING, "pixels": breast((96, 96))}, NOON, {**NOON, **EARLIER}, {"pixels": breast((90, 90))}]
    made, out = exam(tmp_path / "archive", images, best=2), tmp_path / "labels.csv"
    lines = list(scanned(made.root, out).lines())
    assert "  3 left out: repeated_view" in "\n".join(lines)
    assert {line for line in lines if "is preferred" in line} == {
        "    1: the largest is preferred",
        "    1: the latest by AcquisitionDate is preferred",
        "    1: the latest by InstanceNumber is preferred",
    }
    written = "\n".join([*lines, *(path.read_text() for path in tmp_path.glob("*.csv"))])
    assert not any(part in written for part in ("20150102", "0930", "120000"))
