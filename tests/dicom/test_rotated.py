"""A mammogram on its side is left out when its header says so; an upright one stays, whatever the header says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from dicoms import breast, write_mammogram
from numpy.typing import NDArray
from test_stored_bits import tissue

from mammogan.data.dicom.flags import MEANING
from mammogan.data.dicom.read import Source, Unusable, read_mammogram

ON_ITS_SIDE = [("R", "P"), ("L", "P"), ("R", "A"), ("L", "A"), ("F", "P"), ("H", "A"), ("FR", "P"), ("HL", "AF")]


def read(path: Path, pixels: NDArray[np.uint16], *declared: str, view: str = "CC") -> Source:
    return read_mammogram(write_mammogram(path, pixels, view=view, PatientOrientation=list(declared)), "L", view)


def mlo() -> NDArray[np.uint16]:
    """A breast with a pectoral muscle, which touches the upper side too."""
    stored = tissue()
    row, col = np.mgrid[:240, :192]
    stored[row / 150 + col / 70 < 1] = 3300
    return stored


@pytest.mark.parametrize("declared", ON_ITS_SIDE)
@pytest.mark.parametrize("turns", [1, 3])
@pytest.mark.parametrize("image", [tissue, breast, mlo])
def test_an_image_on_its_side_by_header_and_pixels_is_left_out(
    tmp_path: Path, declared: tuple, turns: int, image
) -> None:  # type: ignore[no-untyped-def, type-arg]
    for view in ("CC", "MLO"):
        with pytest.raises(Unusable, match="rotated"):
            read(tmp_path / "x.dcm", np.rot90(image(), turns).copy(), *declared, view=view)


@pytest.mark.parametrize("declared", ON_ITS_SIDE)
@pytest.mark.parametrize("image", [tissue, mlo])
def test_an_upright_image_stays_whatever_the_header_says(tmp_path: Path, declared: tuple[str, str], image) -> None:  # type: ignore[no-untyped-def]
    source = read(tmp_path / "x.dcm", image(), *declared)
    assert source.facts["flags"] == ["orientation_disagrees"] and not source.flip_h
    assert np.array_equal(source.pixels, read(tmp_path / "x.dcm", image(), "A", "R").pixels)


def test_where_the_pixels_cannot_tell_the_header_is_believed(tmp_path: Path) -> None:
    everywhere = np.random.default_rng(0).integers(1000, 3000, (96, 96)).astype(np.uint16)
    with pytest.raises(Unusable, match="rotated"):
        read(tmp_path / "x.dcm", everywhere, "R", "P")


def test_turned_by_180_degrees_is_turned_back(tmp_path: Path) -> None:
    source = read(tmp_path / "x.dcm", tissue()[::-1, ::-1].copy(), "P", "L")
    assert source.facts["flags"] == ["upside_down"]
    assert np.array_equal(source.pixels, read(tmp_path / "x.dcm", tissue(), "A", "R").pixels)


def test_the_flag_of_a_breast_at_neither_side_names_what_was_believed(tmp_path: Path) -> None:
    """Without an orientation in the header it is the table's side."""
    away = np.zeros((240, 260), np.uint16)
    away[:, 40:232] = tissue()
    path = write_mammogram(tmp_path / "x.dcm", away, "R")
    source = read_mammogram(path, "R", "CC")
    assert source.facts["flags"] == ["detached"] and source.flip_h
    assert "or of the table" in MEANING["detached"] and "or of the table" in MEANING["breast_not_found"]
