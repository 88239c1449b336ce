"""One DICOM file becomes the pixels that a shard would hold, or an error that says what to do and names nobody."""

from __future__ import annotations

import csv
import logging
import warnings
from pathlib import Path

import numpy as np
import pydicom
import pytest
import torch
from dicoms import NAME, RECORD, breast, write_mammogram
from malformed import Suite
from pydicom.uid import JPEG2000Lossless

import mammogan
from mammogan.data.conversion.convert_cohort import ShardIndex
from mammogan.data.shards.reader import read_shard
from mammogan.errors import UserError
from mammogan.workspace import Workspace

SIZE = "96x96"


def refused(path: Path) -> str:
    """The message with which a file is refused; no warning may accompany it."""
    with warnings.catch_warnings(action="error"), pytest.raises(UserError) as caught:
        mammogan.read_mammogram(path, SIZE)
    message = str(caught.value)
    assert str(path) in message and not any(private in message for private in (NAME, "DOE", RECORD))
    error = caught.value
    shown = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    assert shown is None, "its traceback would show an error that may quote the header"
    return message


def test_the_pixels_are_those_of_the_shards_for_every_file_of_a_cohort(converted: Workspace) -> None:
    folder = converted.shards(mammogan.Resolution.parse(SIZE))
    shards = [folder / shard.name for shard in ShardIndex.load(folder).shards]
    in_shards = {sample.key: sample.pixels for shard in shards for sample in read_shard(shard)}
    with open(converted.cohort, newline="", encoding="utf-8") as file:
        files = {row["key"]: row["path"] for row in csv.DictReader(file)}
    assert files.keys() == in_shards.keys() and len(files) > 16
    for key, file in files.items():
        alone = mammogan.read_mammogram(file, SIZE)
        assert alone.dtype == torch.uint16 and np.array_equal(alone.numpy(), in_shards[key][None, None])


def test_laterality_and_view_are_those_of_the_file(tmp_path: Path) -> None:
    left = write_mammogram(tmp_path / "left.dcm", breast(), "L")
    right = write_mammogram(tmp_path / "right.dcm", breast()[:, ::-1].copy(), "R", "MLO")
    assert torch.equal(mammogan.read_mammogram(left, SIZE), mammogan.read_mammogram(str(right), SIZE))


def test_an_older_file_may_call_the_side_laterality(tmp_path: Path) -> None:
    old = write_mammogram(tmp_path / "old.dcm", breast(), without=["ImageLaterality"], Laterality="L")
    new = write_mammogram(tmp_path / "new.dcm", breast())
    assert torch.equal(mammogan.read_mammogram(old, SIZE), mammogan.read_mammogram(new, SIZE))


def test_what_the_file_leaves_out_can_be_given(tmp_path: Path) -> None:
    file = write_mammogram(tmp_path / "a.dcm", breast(), without=["ImageLaterality", "ViewPosition"])
    assert "found nothing and nothing; give them: read_mammogram(path, laterality='L', view='CC')" in refused(file)
    sound = write_mammogram(tmp_path / "b.dcm", breast())
    given = mammogan.read_mammogram(file, SIZE, laterality="L", view="CC")
    assert torch.equal(given, mammogan.read_mammogram(sound, SIZE))


def test_a_name_in_the_place_of_the_view_is_not_quoted(tmp_path: Path) -> None:
    with warnings.catch_warnings(action="ignore"):
        path = write_mammogram(tmp_path / "a.dcm", breast(), view=NAME)
    assert "'L' and a text of 8 characters" in refused(path)
    assert "'L' and 'ML'" in refused(write_mammogram(tmp_path / "b.dcm", breast(), view="ML"))


def test_a_missing_file_is_said_to_be_missing(tmp_path: Path) -> None:
    assert "found: no file; check the path" in refused(tmp_path / "missing.dcm")
    assert "cannot be read" in refused(tmp_path)


def test_a_file_that_is_no_dicom_is_said_to_be_none(tmp_path: Path) -> None:
    for content in (b"", b"path,patient\n", b"\x89PNG\r\n\x1a\n" + bytes(1000)):
        path = tmp_path / "labels.csv"
        path.write_bytes(content)
        assert ("not a DICOM file" if content else "an empty file") in refused(path)


def test_a_damaged_file_is_said_to_be_cut_or_damaged(tmp_path: Path) -> None:
    whole = write_mammogram(tmp_path / "whole.dcm", breast()).read_bytes()
    compressed = write_mammogram(tmp_path / "compressed.dcm", breast(), compress=JPEG2000Lossless).read_bytes()
    path = tmp_path / "cut.dcm"
    for content in (whole[:400], whole[: len(whole) // 2], compressed[: len(compressed) // 2]):
        path.write_bytes(content)
        assert any(why in refused(path) for why in ("cut off before its end", "no pixels in the file"))


def test_no_malformed_file_ends_in_another_error_than_a_usererror_or_in_a_warning(tmp_path: Path) -> None:
    suite = Suite(tmp_path)
    for part in (suite.cuts, suite.wrong_kinds_of_value, suite.absent, suite.other_objects, suite.strange_structures):
        part()
    used = 0
    for case in suite.cases:
        with warnings.catch_warnings(action="error"):
            try:
                mammogan.read_mammogram(case.path, SIZE)
                used += 1
            except UserError as error:
                assert "DOE" not in str(error), case.name
    assert 0 < used < len(suite.cases)


def test_a_header_that_pydicom_warns_of_is_read_in_silence(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = write_mammogram(tmp_path / "a.dcm", breast())
    header = pydicom.dcmread(path)
    with warnings.catch_warnings(action="ignore"):
        header.add_new(0x00100030, "DA", f"{NAME} was here")
        header.SpecificCharacterSet = "ISO_IR 9999"
        header.save_as(path)
    caplog.clear()  # of what pydicom says when such a file is written
    with caplog.at_level(logging.DEBUG), warnings.catch_warnings(action="error"):
        pixels = mammogan.read_mammogram(path, SIZE)
    assert not caplog.records and np.ptp(pixels.numpy()) > 0
