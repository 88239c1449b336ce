"""Every way in which mammograms come compressed is decoded to the values that were compressed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder
from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from streams import pattern, stream

from mammogan.data.dicom.decoding.decoders import only_decoder
from mammogan.data.dicom.read import Source, read_mammogram

EXACT = {
    "JPEG lossless, first order": (JPEGLosslessSV1, "jpeg-lossless-1", 12),
    "JPEG lossless, predictor 1": (JPEGLossless, "jpeg-lossless-1", 12),
    "JPEG lossless, predictor 4": (JPEGLossless, "jpeg-lossless-4", 12),
    "JPEG lossless, predictor 7": (JPEGLossless, "jpeg-lossless-7", 12),
    "HTJ2K lossless": (HTJ2KLossless, "htj2k-lossless", 16),
    "HTJ2K lossless, RPCL": (HTJ2KLosslessRPCL, "htj2k-lossless", 16),
    "HTJ2K that lost nothing": (HTJ2K, "htj2k-lossless", 16),
}
ENCODED = (RLELossless, JPEGLSLossless, JPEG2000Lossless)
UNCOMPRESSED = (ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def write_stream(path: Path, syntax: str, name: str, bits: int) -> Path:
    """A mammogram of ``pattern`` whose pixels are one of the streams."""
    dataset = pydicom.dcmread(write_mammogram(path, pattern(bits), bits=bits))
    dataset.PixelData = encapsulate([stream(name)])
    dataset["PixelData"].is_undefined_length = True
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.save_as(path)
    return path


def write_uncompressed(path: Path, syntax: str, stored: NDArray[np.uint16], bits: int) -> Path:
    dataset = pydicom.dcmread(write_mammogram(path, stored, bits=bits))
    dataset.PixelData = stored.astype(">u2" if syntax == ExplicitVRBigEndian else "<u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = syntax
    implicit, little = syntax == ImplicitVRLittleEndian, syntax != ExplicitVRBigEndian
    pydicom.dcmwrite(path, dataset, implicit_vr=implicit, little_endian=little, force_encoding=True)
    return path


def plain(folder: Path, stored: NDArray[np.uint16], bits: int) -> Source:
    return read_mammogram(write_mammogram(folder / "plain.dcm", stored, bits=bits), "L", "CC")


def assert_same(one: Source, other: Source) -> None:
    assert np.array_equal(one.pixels, other.pixels) and one.fingerprint == other.fingerprint


@pytest.mark.parametrize("case", EXACT)
def test_streams_of_other_encoders_are_decoded_exactly(tmp_path: Path, case: str) -> None:
    syntax, name, bits = EXACT[case]
    packed = write_stream(tmp_path / "packed.dcm", syntax, name, bits)
    assert_same(read_mammogram(packed, "L", "CC"), plain(tmp_path, pattern(bits), bits))


@pytest.mark.parametrize("bits", [10, 12, 14, 16])
@pytest.mark.parametrize("syntax", ENCODED)
def test_what_pydicom_compresses_is_decoded_exactly(tmp_path: Path, syntax: str, bits: int) -> None:
    stored = breast(bits=bits)
    packed = write_mammogram(tmp_path / "packed.dcm", stored, bits=bits, compress=syntax)
    assert_same(read_mammogram(packed, "L", "CC"), plain(tmp_path, stored, bits))


@pytest.mark.parametrize("syntax", UNCOMPRESSED)
def test_every_way_to_store_them_uncompressed_gives_the_same_pixels(tmp_path: Path, syntax: str) -> None:
    stored = breast()
    packed = write_uncompressed(tmp_path / "packed.dcm", syntax, stored, 12)
    assert pydicom.dcmread(packed).file_meta.TransferSyntaxUID == syntax
    assert_same(read_mammogram(packed, "L", "CC"), plain(tmp_path, stored, 12))


def decoded(path: Path, plugin: str) -> NDArray[np.uint16]:
    dataset = pydicom.dcmread(path)
    dataset.pixel_array_options(decoding_plugin=plugin)
    return dataset.pixel_array


@pytest.mark.parametrize(
    ("syntax", "options", "other", "most"),
    [(JPEGLSNearLossless, {"jls_error": 3}, "pylibjpeg", 3), (JPEG2000, {"j2k_psnr": [60]}, "pillow", 40)],
)
def test_what_lost_something_is_decoded_as_another_decoder_does(
    tmp_path: Path, syntax: str, options: dict[str, object], other: str, most: int
) -> None:
    stored, path = breast(), tmp_path / "packed.dcm"
    dataset = pydicom.dcmread(write_mammogram(path, stored))
    dataset.compress(syntax, generate_instance_uid=False, **options)
    dataset.save_as(path)
    found = decoded(path, only_decoder(dataset.file_meta.TransferSyntaxUID))
    assert np.array_equal(found, decoded(path, other))
    assert 0 < np.abs(found.astype(int) - stored).max() <= most
    assert_same(read_mammogram(path, "L", "CC"), plain(tmp_path, found, 12))


def test_an_htj2k_stream_that_lost_something_is_decoded_within_its_rounding(tmp_path: Path) -> None:
    path = write_stream(tmp_path / "packed.dcm", HTJ2K, "htj2k-lossy", 16)
    found = decoded(path, only_decoder(HTJ2K))
    assert 0 < np.abs(found.astype(int) - pattern(16)).max() <= 8
    assert_same(read_mammogram(path, "L", "CC"), plain(tmp_path, found, 16))


@pytest.mark.parametrize("syntax", [*ENCODED, JPEGLSNearLossless, JPEG2000, HTJ2K, HTJ2KLossless, HTJ2KLosslessRPCL])
def test_the_decoder_that_is_preferred_is_installed(syntax: str) -> None:
    assert only_decoder(pydicom.uid.UID(syntax)) in get_decoder(syntax).available_plugins
