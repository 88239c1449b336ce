"""What cannot be decoded is known before the work starts."""

from __future__ import annotations

import io
import os
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import numpy as np
import pytest
from conftest import run_script
from damage import with_stream, zeroed
from dicoms import breast, write_cohort, write_mammogram, write_table
from jpeg_lossless import jpeg_lossless
from PIL import Image
from pydicom.pixels import get_decoder
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.dicom.decoding.decodability import THREADS, UNREAD, Decodability, examine, transfer_syntax
from mammogan.data.dicom.decoding.decoders import decoding_of
from mammogan.data.dicom.read import Unusable, read_mammogram
from mammogan.workspace import Resolution, Workspace

JPEG_XL = "1.2.840.10008.1.2.4.110"
SYNTAXES = (JPEG2000Lossless, JPEGLSLossless, RLELossless)


def declare(path: Path, syntax: str) -> Path:
    """Make an uncompressed file claim another transfer syntax."""
    own, other = (uid.encode() + b"\0" * (len(uid) % 2) for uid in (str(ExplicitVRLittleEndian), syntax))
    element = b"\x02\x00\x10\x00UI"
    old, new = (element + len(value).to_bytes(2, "little") + value for value in (own, other))
    whole = path.read_bytes()
    assert whole.count(old) == 1
    path.write_bytes(whole.replace(old, new))
    return path


@pytest.fixture
def archive(tmp_path: Path) -> list[Path]:
    """Files of several syntaxes, one that nothing decodes, one that is no DICOM file."""
    paths = [write_mammogram(tmp_path / f"{n}.dcm", breast(), compress=s) for n, s in enumerate(SYNTAXES)]
    paths.append(write_mammogram(tmp_path / "plain.dcm", breast()))
    paths.append(declare(write_mammogram(tmp_path / "xl.dcm", breast()), JPEG_XL))
    (tmp_path / "text.dcm").write_text("DOE^JANE\n" * 100)
    return [*paths, tmp_path / "text.dcm"]


def test_each_syntax_is_counted_with_its_decoder_and_what_cannot_be_decoded_has_a_line(archive: list[Path]) -> None:
    diagnosis = examine(archive)
    assert diagnosis.syntaxes == Counter([*map(str, SYNTAXES), str(ExplicitVRLittleEndian), JPEG_XL, UNREAD])
    able, *unable = diagnosis.lines()
    assert able.startswith("doctor: 4 of 6 files can be decoded: ")
    assert "1 JPEG 2000 Image Compression (Lossless Only) (pylibjpeg-openjpeg 2." in able
    assert "1 JPEG-LS Lossless Image Compression (pyjpegls 1." in able and "1 Explicit VR Little Endian" in able
    assert len(unable) == 2 and not diagnosis.all_decodable
    [xl] = [line for line in unable if "left out (decode_failed)" in line]
    assert xl.startswith("doctor: 1 JPEG XL Lossless cannot be decoded here") and "another program" in xl
    assert any("cannot be read" in line for line in unable)


def test_what_it_says_cannot_be_decoded_is_left_out_as_decode_failed(archive: list[Path]) -> None:
    for path in archive[:5]:
        found = examine([path])
        try:
            read_mammogram(path, "L", "CC")
            assert found.all_decodable
        except Unusable as reason:
            assert reason.code == "decode_failed" and not found.all_decodable


def test_where_all_can_be_decoded_one_line_says_so(archive: list[Path]) -> None:
    diagnosis = examine(archive[:4])
    [line] = diagnosis.lines()
    assert line.startswith("doctor: all 4 files can be decoded: ") and diagnosis.all_decodable


@pytest.mark.parametrize("syntax", [ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian, JPEGBaseline8Bit])
def test_syntaxes_that_need_no_package_of_ours_can_be_decoded(syntax: str) -> None:
    assert decoding_of(syntax).possible


@pytest.fixture
def without_htj2k() -> Iterator[None]:
    """pydicom as it is where pylibjpeg-openjpeg is not installed."""
    decoder = get_decoder(HTJ2KLossless)
    decoder.remove_plugin("pylibjpeg")
    yield
    decoder.add_plugin("pylibjpeg", ("pydicom.pixels.decoders.pylibjpeg", "_decode_frame"))


def test_a_package_that_is_not_installed_is_named(without_htj2k: None) -> None:
    decoding = decoding_of(HTJ2KLossless)
    assert not decoding.possible and decoding.mend == "pip install pylibjpeg pylibjpeg-openjpeg"
    assert decoding_of(JPEGLosslessSV1).by.startswith("pylibjpeg-libjpeg ")


def without_plugin(syntax: str) -> Iterator[None]:
    """pydicom as it is where the extra ``jpeg`` is not installed."""
    decoder = get_decoder(syntax)
    decoder.remove_plugin("pylibjpeg")
    yield
    decoder.add_plugin("pylibjpeg", ("pydicom.pixels.decoders.pylibjpeg", "_decode_frame"))


@pytest.fixture(params=[JPEGLossless, JPEGLosslessSV1])
def lossless_without_the_extra(request: pytest.FixtureRequest) -> Iterator[str]:
    for _ in without_plugin(request.param):
        yield request.param


@pytest.fixture
def twelve_bits_without_the_extra() -> Iterator[None]:
    yield from without_plugin(JPEGExtended12Bit)


def test_without_the_extra_jpeg_lossless_is_decoded_by_gdcm_to_the_same_pixels(
    tmp_path: Path, lossless_without_the_extra: str
) -> None:
    syntax, stored = lossless_without_the_extra, breast((200, 160))
    assert decoding_of(syntax).by.startswith("python-gdcm ")
    plain = read_mammogram(write_mammogram(tmp_path / "plain.dcm", stored), "L", "CC")
    path = write_mammogram(tmp_path / "x.dcm", stored)
    for predictor in range(1, 8) if syntax == JPEGLossless else (1,):
        whole = jpeg_lossless(stored, 12, predictor)
        assert np.array_equal(read_mammogram(with_stream(path, whole, syntax), "L", "CC").pixels, plain.pixels)
        for at in (2000, 9000, len(whole) - 5000):
            with pytest.raises(Unusable, match="decode_failed"):
                read_mammogram(with_stream(path, zeroed(whole, at, 2048), syntax), "L", "CC")


def test_where_nothing_decodes_jpeg_lossless_both_packages_are_named(lossless_without_the_extra: str) -> None:
    decoder = get_decoder(lossless_without_the_extra)
    decoder.remove_plugin("gdcm")
    try:
        decoding = decoding_of(lossless_without_the_extra)
    finally:
        decoder.add_plugin("gdcm", ("pydicom.pixels.decoders.gdcm", "_decode_frame"))
    assert not decoding.possible
    assert "mammogan[jpeg]" in decoding.mend and "GPL-3.0" in decoding.mend and "python-gdcm" in decoding.mend


def test_without_the_extra_lossy_jpeg_of_eight_bits_is_decoded_whatever_it_is_declared_as(
    tmp_path: Path, twelve_bits_without_the_extra: None
) -> None:
    stored, packed = breast(bits=8).astype(np.uint8), io.BytesIO()
    Image.fromarray(stored).save(packed, "JPEG", quality=100)
    path = write_mammogram(tmp_path / "x.dcm", stored, bits=8)
    found = read_mammogram(with_stream(path, packed.getvalue(), JPEGExtended12Bit), "L", "CC")
    assert np.abs(found.pixels - stored * 257.0).max() <= 3 * 257
    assert "8 bits only" in decoding_of(JPEGExtended12Bit).by


def test_the_files_that_need_the_extra_are_named_with_its_licence(tmp_path: Path) -> None:
    paths = [write_mammogram(tmp_path / f"{n}.dcm", breast(seed=n)) for n in range(3)]
    assert not any("GPL" in line for line in examine(paths).lines())
    for path in paths[:2]:
        with_stream(path, jpeg_lossless(breast(), 12), JPEGLosslessSV1)
    [line] = [line for line in examine(paths).lines() if "GPL" in line]
    assert line.startswith("doctor: 2 JPEG Lossless") and "mammogan[jpeg]" in line


def test_files_of_each_syntax_are_tried_and_a_damaged_one_is_counted(archive: list[Path], tmp_path: Path) -> None:
    tried = examine(archive[:4], tries=2)
    assert (tried.tried, tried.failed) == (4, Counter()) and tried.all_decodable
    assert "doctor: 4 were tried, 4 of them were decoded" in list(tried.lines())
    many = [write_mammogram(tmp_path / f"many{n}.dcm", breast(seed=n), compress=JPEGLSLossless) for n in range(9)]
    many[8].write_bytes(many[8].read_bytes()[:-3000])
    with_stream(many[0], b"no stream of any kind", JPEGLSLossless)
    assert examine(many).all_decodable, "by their headers"
    found = examine(many, tries=3)
    assert found.tried == 3 and found.failed == Counter({(str(JPEGLSLossless), "decode_failed"): 1})
    assert not found.all_decodable
    assert any("1 JPEG-LS Lossless" in line and "(decode_failed)" in line for line in found.lines())


def test_what_is_no_mammogram_is_not_the_doctors_question(tmp_path: Path) -> None:
    paths = [write_mammogram(tmp_path / "us.dcm", breast(), Modality="US")]
    assert examine(paths, tries=1).all_decodable


def test_nothing_that_lies_in_a_files_place_holds_up_or_raises(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    whole = write_mammogram(tmp_path / "whole.dcm", breast()).read_bytes()
    for name, content in {"empty": b"", "zeros": b"\0" * 5000, "cut": whole[:150], "preamble": whole[:132]}.items():
        (tmp_path / name).write_bytes(content)
    places = ["pipe", "loop", "empty", "zeros", "cut", "preamble", "absent", "a" * 300, "."]
    assert {transfer_syntax(tmp_path / name) for name in places} == {UNREAD}


@pytest.mark.parametrize("text", ["1.2.826.0.1.424242", "DOE^JANE 1950", "1.2.840.10008.DOE^JANE", "1.2.840.10008."])
def test_a_syntax_that_may_be_any_text_is_not_repeated(
    tmp_path: Path, text: str, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    path = declare(write_mammogram(tmp_path / "odd.dcm", breast()), text)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        lines = list(examine([path]).lines())
    assert any("1 in a private transfer syntax cannot be decoded" in line for line in lines)
    said = " ".join([*lines, *capfd.readouterr(), caplog.text])
    assert "424242" not in said and "DOE" not in said


def test_a_disk_that_does_not_answer_is_given_up_soon(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mended = Event()

    def dead(path: Path) -> str:
        if path.name != "0":
            mended.wait()
        return str(ExplicitVRLittleEndian)

    monkeypatch.setattr("mammogan.data.dicom.decoding.decodability.transfer_syntax", dead)
    try:
        diagnosis = examine([Path(str(n)) for n in range(100)], seconds=0.2)
    finally:
        mended.set()
    assert diagnosis == Decodability(Counter({str(ExplicitVRLittleEndian): 1}), not_looked_at=99)
    assert not diagnosis.all_decodable and "99 were not looked at" in list(diagnosis.lines())[-1]


def test_a_disk_that_was_given_up_is_left_to_the_conversion(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering, read = Event(), []

    def slow(path: Path) -> str:
        answering.wait()
        read.append(path)
        return str(ExplicitVRLittleEndian)

    monkeypatch.setattr("mammogan.data.dicom.decoding.decodability.transfer_syntax", slow)
    assert examine([Path(str(n)) for n in range(100)], seconds=0.1).not_looked_at == 100
    answering.set()
    time.sleep(0.5)
    assert len(read) == THREADS, "those that were being read, and no more"


def test_the_syntax_is_read_without_a_word_of_pydicoms_even_outside_the_quiet(tmp_path: Path) -> None:
    path = declare(write_mammogram(tmp_path / "a.dcm", breast()), "DOE^JANE 1950")
    with warnings.catch_warnings(action="error"):
        assert transfer_syntax(path) == "DOE^JANE 1950"
        assert transfer_syntax(write_mammogram(tmp_path / "b.dcm", breast())) == ExplicitVRLittleEndian


def test_a_conversion_begins_with_the_check_unless_it_has_nothing_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = write_cohort(tmp_path / "cohort")
    convert_cohort(table, Workspace(tmp_path / "work"), [Resolution(96, 96)], jobs=1)
    assert "doctor: all 9 files can be decoded" in capsys.readouterr().out
    convert_cohort(table, Workspace(tmp_path / "work"), [Resolution(96, 96)], jobs=1)
    assert "doctor" not in capsys.readouterr().out


def test_the_command_changes_nothing_and_its_exit_code_shows_the_result(archive: list[Path], tmp_path: Path) -> None:
    rows = [(path.name, str(n), "L", "CC", "negative") for n, path in enumerate(archive)]
    for files, code in ((rows, 3), (rows[:4], 0)):
        table = write_table(tmp_path / "labels.csv", files)
        told = run_script("shards/make_shards.py", "--cohort", table, "--workspace", tmp_path / "work", "--doctor")
        assert told.returncode == code and "doctor: " in told.stdout and "DOE" not in told.stdout + told.stderr
    assert not (tmp_path / "work").exists()
