"""From stored frame to shard image and back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stored_coordinates import to_source

from mammogan.data.dicom.placement import Placement, add_change_to_source, apply_placement_to_mask, place_pixels
from mammogan.workspace import HIGH, LOW, Resolution

SMALL = Resolution(96, 96)


@pytest.mark.parametrize(
    ("source", "resolution", "content"),
    [
        ((4096, 3328), HIGH, (1728, 1404)),
        ((3328, 2560), HIGH, (1728, 1329)),
        ((4084, 3328), HIGH, (1728, 1408)),
        ((2294, 1914), HIGH, (1688, 1408)),
        ((4096, 3328), LOW, (1024, 832)),
        ((3328, 2560), LOW, (1024, 788)),
        ((2294, 1914), LOW, (997, 832)),
    ],
)
def test_the_detectors_in_use_fill_the_studys_resolutions_with_their_ratio_kept(
    source: tuple[int, int], resolution: Resolution, content: tuple[int, int]
) -> None:
    placement = Placement.fit(source, resolution, flip_h=False, flip_v=False)
    assert placement.content_shape == content
    assert placement.offset == ((resolution.height - content[0]) // 2, 0)


@settings(max_examples=60, deadline=None)
@given(st.integers(64, 5000), st.integers(64, 5000), st.booleans(), st.booleans(), st.data())
def test_every_stored_pixel_comes_back_to_itself(
    h: int, w: int, flip_h: bool, flip_v: bool, data: st.DataObject
) -> None:
    placement = Placement.fit((h, w), LOW, flip_h, flip_v)
    rows = np.array([0, 0, h - 1, h - 1, data.draw(st.integers(0, h - 1))])
    cols = np.array([0, w - 1, 0, w - 1, data.draw(st.integers(0, w - 1))])
    placed = placement.from_source(rows, cols)
    back = to_source(placement, *placed)
    assert np.allclose(back, (rows, cols), atol=1e-6)
    half = 0.5 + 0.5 * max(1, *placement.scale)
    assert (placed[0] > placement.offset[0] - half).all() and (placed[1] > -half).all()
    assert (placed[0] < placement.offset[0] + placement.content_shape[0] + half).all()


@pytest.mark.parametrize("flip_h", [False, True])
@pytest.mark.parametrize("flip_v", [False, True])
@pytest.mark.parametrize("shape", [(400, 300), (300, 400), (96, 60), (80, 70)])
def test_a_bright_spot_lands_where_the_placement_says(shape: tuple[int, int], flip_h: bool, flip_v: bool) -> None:
    placement = Placement.fit(shape, SMALL, flip_h, flip_v)
    frame = np.zeros(shape, np.float32)
    frame[50:57, 30:37] = 40000
    image = place_pixels(placement.canonical(frame), placement).astype(float)
    rows, cols = np.mgrid[: image.shape[0], : image.shape[1]]
    center = to_source(placement, (image * rows).sum() / image.sum(), (image * cols).sum() / image.sum())
    assert np.allclose(center, (53, 33), atol=0.25)


def test_a_placement_survives_json() -> None:
    placement = Placement.fit((3328, 2560), HIGH, True, False)
    assert Placement.from_json(placement.to_json()) == placement


def test_padding_is_away_from_the_chest_wall_and_above_and_below() -> None:
    tall = place_pixels(np.full((200, 100), 1000, np.float32), Placement.fit((200, 100), SMALL, False, False))
    assert (tall[:, :48] == 1000).all() and (tall[:, 48:] == 0).all()
    wide = place_pixels(np.full((100, 200), 1000, np.float32), Placement.fit((100, 200), SMALL, False, False))
    assert (wide[24:72] == 1000).all() and (wide[:24] == 0).all() and (wide[72:] == 0).all()


def test_overshoot_at_a_hard_edge_neither_wraps_nor_dips() -> None:
    frame = np.zeros((300, 300), np.float32)
    frame[100:200, 100:200] = 65535
    image = place_pixels(frame, Placement.fit((300, 300), SMALL, False, False))
    assert (image[34:62, 34:62] == 65535).all()
    assert image[:28].max() == 0
    profile = image[48].astype(int)
    assert (np.diff(profile[:48]) >= 0).all() and (np.diff(profile[48:]) <= 0).all()


def test_a_grey_scale_that_ends_below_65535_is_not_exceeded_there_and_back() -> None:
    frame = np.zeros((300, 300), np.float32)
    frame[100:200, 100:200] = 4095
    placement = Placement.fit((300, 300), SMALL, False, False)
    image = place_pixels(frame, placement, 4095)
    assert image.max() == 4095 < place_pixels(frame, placement).max()
    brighter = add_change_to_source(frame, np.full((96, 96), 500, np.float32), placement, 4095)
    assert brighter.max() == 4095 and brighter[:90].min() > 400


def test_an_image_of_the_right_size_is_not_resampled() -> None:
    frame = np.random.default_rng(0).integers(0, 65536, (96, 96)).astype(np.float32)
    assert (place_pixels(frame, Placement.fit((96, 96), SMALL, False, False)) == frame).all()


def test_shrinking_averages_noise_instead_of_picking_pixels() -> None:
    noise = np.random.default_rng(0).normal(30000, 5000, (768, 768)).astype(np.float32)
    image = place_pixels(noise, Placement.fit((768, 768), SMALL, False, False))
    assert image.std() < 5000 / 4


def test_a_lesions_mask_follows_its_pixels() -> None:
    placement = Placement.fit((400, 300), SMALL, True, True)
    mask = np.zeros((400, 300), np.uint8)
    mask[100:140, 40:90] = 255
    placed = apply_placement_to_mask(mask, placement)
    rows, cols = np.nonzero(placed)
    back_rows, back_cols = to_source(placement, rows, cols)
    assert mask[np.rint(back_rows).astype(int), np.rint(back_cols).astype(int)].all()
    assert placed.sum() == pytest.approx(40 * 50 * placement.scale[0] * placement.scale[1], rel=0.1)


def test_a_mask_smaller_than_a_pixel_is_not_lost_and_an_empty_one_stays_empty() -> None:
    placement = Placement.fit((960, 960), SMALL, False, False)
    mask = np.zeros((960, 960), bool)
    assert not apply_placement_to_mask(mask, placement).any()
    mask[503, 207] = True
    assert apply_placement_to_mask(mask, placement)[50, 20]


def test_a_mask_of_another_frame_is_refused() -> None:
    with pytest.raises(ValueError, match="expected the stored frame's"):
        apply_placement_to_mask(np.zeros((10, 10), bool), Placement.fit((400, 300), SMALL, False, False))
