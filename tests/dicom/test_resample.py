"""Scaling agrees with torch's in double precision, which is the reference."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from mammogan.data.dicom.resample import bicubic, bilinear, kernel_weights


def reference(pixels: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float64]:
    image = torch.from_numpy(pixels.astype(np.float64))[None, None]
    scaled: NDArray[np.float64] = torch.nn.functional.interpolate(image, shape, mode="bicubic", antialias=True).numpy()
    return scaled[0, 0]


def noise(shape: tuple[int, int], seed: int = 0) -> NDArray[np.float32]:
    return np.random.default_rng(seed).uniform(0, 65535, shape).astype(np.float32)


@pytest.mark.parametrize(
    ("source", "scaled"),
    [
        ((3328, 2560), (1728, 1329)),
        ((3328, 2560), (1024, 788)),
        ((2294, 1914), (997, 832)),
        ((1024, 788), (3328, 2560)),
    ],
)
def test_detectors_are_scaled_to_the_studys_sizes_and_back_within_a_thirtieth_of_a_grey_value(
    source: tuple[int, int], scaled: tuple[int, int]
) -> None:
    pixels = noise(source)
    assert np.abs(bicubic(pixels, scaled) - reference(pixels, scaled)).max() < 1 / 30


@settings(max_examples=100, deadline=None)
@given(st.tuples(*[st.integers(2, 200)] * 4), st.integers(0, 9))  # of one column torch makes a row
def test_any_size_is_scaled_to_any_other(sides: tuple[int, int, int, int], seed: int) -> None:
    pixels, shape = noise(sides[:2], seed), sides[2:]
    assert np.abs(bicubic(pixels, shape) - reference(pixels, shape)).max() < 0.1


def test_the_weights_themselves_are_the_references_to_double_precision() -> None:
    pixels = noise((333, 200))
    down, across = (kernel_weights(np.arange(n), np.arange(m), m, n) for n, m in ((97, 333), (64, 200)))
    assert np.abs(down @ pixels.astype(float) @ across.T - reference(pixels, (97, 64))).max() < 1e-9


def test_bytes_do_not_depend_on_where_in_memory_an_image_lies() -> None:
    pixels = noise((701, 333))
    expected = bicubic(pixels, (96, 64))
    for shift in range(1, 16):
        room = np.empty(pixels.size + 16, np.float32)
        moved = room[shift : shift + pixels.size].reshape(pixels.shape)
        moved[:] = pixels
        assert np.array_equal(bicubic(moved, (96, 64)), expected)


@pytest.mark.parametrize("scale", [bicubic, bilinear])
def test_an_image_of_the_right_size_is_left_alone_and_an_even_one_stays_even(scale: type[bicubic]) -> None:
    pixels = noise((50, 40))
    assert scale(pixels, (50, 40)) is pixels
    assert np.allclose(scale(np.full((50, 40), 1000, np.float32), (33, 77)), 1000, atol=0.01)
