"""The blob detector sees a planted blob, at any pixel size, and says what is above the negatives' own."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from mammogan.data.blobs.blob_detector import averaged, blob, blob_map, blob_threshold, breast_of, largest_blob

BREAST_MM = (120.0, 80.0)


def breast_with_blob(side: float, at_mm: tuple[float, float] | None, seed: int = 0) -> np.ndarray:
    """A half-ellipse at the left, even but for weak noise of 3 mm, and a Gaussian blob of 5 mm: uint16."""
    height, width = (round(mm / side) for mm in BREAST_MM)
    rows, columns = (axis * side for axis in np.mgrid[:height, :width])
    inside = ((rows - 60) / 55) ** 2 + (columns / 65) ** 2 < 1
    noise = ndimage.gaussian_filter(np.random.default_rng(seed).normal(size=(height, width)), 3 / side)
    value = 0.4 + 0.004 * noise / noise.std()
    if at_mm:
        value = value + 0.2 * np.exp(-((rows - at_mm[0]) ** 2 + (columns - at_mm[1]) ** 2) / 50)
    return np.rint(np.where(inside, value, 0) * 65535).astype(np.uint16)


@pytest.mark.parametrize("side", [0.2, 0.45, 1.2, 2.0])
def test_a_planted_blob_is_found_where_it_is_whatever_the_pixel_size(side: float) -> None:
    pixels = breast_with_blob(side, (70.0, 30.0))
    found = largest_blob(pixels, breast_of(pixels), (side, side))
    assert found is not None
    assert np.hypot(found.row * side - 70, found.column * side - 30) < 3
    assert found.response > 0.05 * 65535


def test_averaging_fine_pixels_first_changes_the_response_by_less_than_a_hundredth_of_the_blob() -> None:
    pixels = breast_with_blob(0.25, (70.0, 30.0))
    direct = float(blob_map(pixels, breast_of(pixels), 0.25).max())
    assert blob(pixels, breast_of(pixels), 0.25) == pytest.approx(direct, rel=0.01)


def test_pixels_of_a_millimetre_or_more_are_taken_as_they_are() -> None:
    pixels = breast_with_blob(1.2, (70.0, 30.0))
    assert blob(pixels, breast_of(pixels), 1.2) == float(blob_map(pixels, breast_of(pixels), (1.2, 1.2)).max())


def test_cells_hold_means_and_continue_at_the_edge() -> None:
    picture = np.arange(12).reshape(3, 4)
    assert averaged(picture, (1, 1)).tolist() == picture.tolist()
    assert averaged(picture, (2, 2)).tolist() == [[2.5, 4.5], [8.5, 10.5]]


def test_a_breast_too_small_for_a_blob_has_none() -> None:
    pixels = np.zeros((60, 60), np.uint16)
    assert largest_blob(pixels, breast_of(pixels), 1.0) is None
    pixels[20:32, 20:32] = 30000
    assert largest_blob(pixels, breast_of(pixels), 1.0) is None
    with pytest.raises(ValueError, match="8 mm inside"):
        blob(pixels, breast_of(pixels), 1.0)


def test_the_threshold_is_the_negatives_quantile_and_a_planted_blob_is_above_it() -> None:
    empty = [breast_with_blob(1.2, None, seed) for seed in range(10)]
    negatives = [blob(pixels, breast_of(pixels), 1.2) for pixels in empty]
    level = blob_threshold(negatives)
    assert level == np.quantile(negatives, 0.8)
    assert sum(response > level for response in negatives) == 2
    planted = breast_with_blob(1.2, (70.0, 30.0), seed=11)
    assert blob(planted, breast_of(planted), 1.2) > level
    assert blob_threshold([]) is None


def test_the_breast_holds_what_it_encloses() -> None:
    pixels = breast_with_blob(1.2, None)
    whole = breast_of(pixels)
    pixels[40:44, 20:24] = 0
    assert np.array_equal(breast_of(pixels), whole)
