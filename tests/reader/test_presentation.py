"""What readers see of an image, and what one number tells of it: nothing, outside the breast, unless it is allowed."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from mammogan.data.inspect.near_duplicates import texture
from mammogan.errors import UserError
from mammogan.reader.drawing import cues, presentation
from mammogan.reader.drawing.cues import CUES, CueResult, audit, measure, refuse_visible
from mammogan.reader.drawing.images import look_alike
from mammogan.reader.plan import MIDDLE, Window

Pixels = NDArray[np.uint16]
WINDOW = Window(0, 40000)


def breast(seed: int) -> Pixels:
    """An original: black air, a noisy half disc at the left edge."""
    rng = np.random.default_rng(seed)
    rows, columns = np.ogrid[:64, :48]
    inside = (rows - 32) ** 2 + columns**2 < rng.integers(18, 26) ** 2
    return np.where(inside, rng.integers(9000, 33000, (64, 48)), 0).astype(np.uint16)


def generated(original: Pixels, seed: int) -> Pixels:
    """An adversarial image as a sigmoid gives it: light in the air, tones slightly moved."""
    noise = np.random.default_rng(seed + 1000).normal(0, 120, original.shape)
    return np.clip(original * 0.98 + 700 + noise, 1, 65535).astype(np.uint16)


PAIRS = [(original, generated(original, seed)) for seed in range(30) for original in [breast(seed)]]


def shown(background: str) -> tuple[list[Pixels], list[Pixels]]:
    """Fifteen originals, and the adversarial images of fifteen others, as readers see them."""
    real = [presentation.present(original, original, background) for original, _ in PAIRS[:15]]
    return real, [presentation.present(fake, original, background) for original, fake in PAIRS[15:]]


def border_watcher_says_not_real(image: Pixels) -> bool:
    """A reader who looks at nothing but the corner, at the default window."""
    return bool(np.median(image[:4, -4:]) * 255 / WINDOW.high > 1)


@pytest.mark.parametrize("background", ["original", "as-generated"])
def test_an_original_is_shown_as_it_is(background: str) -> None:
    for original, _ in PAIRS:
        assert np.array_equal(presentation.present(original, original, background), original)


def test_an_adversarial_image_has_the_air_of_its_original_and_keeps_the_change_of_the_breast() -> None:
    for original, fake in PAIRS:
        image = presentation.present(fake, original, "original")
        assert image.dtype == np.uint16 and np.array_equal(image == 0, original == 0)
        inside = original > original[original > 0].min()
        assert np.array_equal(image[inside], np.maximum(fake, original[original > 0].min())[inside])


def test_as_generated_nothing_is_changed() -> None:
    assert all(np.array_equal(presentation.present(fake, original, "as-generated"), fake) for original, fake in PAIRS)


def test_a_reader_who_watches_the_border_is_right_as_generated_and_at_chance_when_presented() -> None:
    real, fake = shown("as-generated")
    assert not any(map(border_watcher_says_not_real, real)) and all(map(border_watcher_says_not_real, fake))
    real, fake = shown("original")
    assert not any(map(border_watcher_says_not_real, [*real, *fake]))


def audited(background: str) -> dict[str, CueResult]:
    real, fake = shown(background)
    return {row.name: row for row in audit([measure(i) for i in real], [measure(i) for i in fake], WINDOW)}


def test_the_audit_finds_what_tells_as_generated_and_that_it_is_gone_when_presented() -> None:
    seen, hidden = audited("as-generated"), audited("original")
    visible = [cue.name for cue in CUES if cue.visible]
    assert len(visible) == 3 and all(seen[name].auc > 0.99 and seen[name].tells for name in visible)
    assert not any(hidden[name].tells for name in visible)
    with pytest.raises(UserError, match=r"corner grey .*AUC 1\.000(?s:.*)--allow-cues"):
        refuse_visible(list(seen.values()))
    refuse_visible(list(hidden.values()))


def test_the_area_is_that_of_the_better_direction_with_ties_as_half() -> None:
    numbers = (
        [[0.0, 0, 0, x, *[0.0] * (len(cues.CUES) - 4)] for x in (1.0, 2.0, 2.0)],
        [[0.0, 0, 0, x, *[0.0] * (len(cues.CUES) - 4)] for x in (0.0, 1.0)],
    )
    minimum = next(row for row in audit(*numbers, WINDOW) if row.name == "minimum")
    assert minimum.auc == pytest.approx(5.5 / 6) and (minimum.real, minimum.fake) == (2.0, 0.5)
    constant = next(row for row in audit(*numbers, WINDOW) if row.name == "mean")
    assert (constant.auc, constant.chance, constant.tells) == (0.5, 1.0, False)


def test_chance_in_a_small_study_does_not_stop_the_drawing() -> None:
    assert not CueResult("share of zeros", True, 0.75, 0.2, 0, 0).tells
    assert CueResult("share of zeros", True, 0.75, 0.001, 0, 0).tells
    assert not CueResult("share of zeros", True, 0.64, 1e-9, 0, 0).tells


def test_a_heap_of_pixels_at_the_darkest_grey_is_found_as_a_cue() -> None:
    breast = np.zeros((64, 48), np.uint16)
    breast[10:50, :40] = np.arange(1600).reshape(40, 40) + 2000
    cut_off = np.where(breast > 0, np.maximum(breast, 2030), 0).astype(np.uint16)
    rows = {row.name: row for row in audit([measure(breast)] * 20, [measure(cut_off)] * 20, WINDOW)}
    heap = rows["pixels at the darkest grey of the breast"]
    assert (heap.auc, heap.real, heap.fake, heap.visible) == (1.0, 1, 31, False) and heap.tells


def test_a_grey_that_no_screen_shows_is_no_visible_cue() -> None:
    dim, black = (np.full((64, 48), value, np.uint16) for value in (30, 0))
    rows = {row.name: row for row in audit([measure(black)] * 20, [measure(dim)] * 20, WINDOW)}
    assert rows["corner grey at the default window"].auc == 0.5 and rows["minimum"].tells
    assert cues.MOST_AUC == 0.65


def test_a_difference_is_original_minus_adversarial_around_the_middle_and_clipped() -> None:
    original, adversarial = (np.array([values], np.uint16) for values in ([500, 0, 65535, 7], [400, 65535, 0, 7]))
    assert presentation.difference(original, adversarial).tolist() == [[MIDDLE + 100, 0, 65535, MIDDLE]]


def test_the_difference_scale_is_the_same_for_both_signs_and_holds_nearly_all_changes() -> None:
    image = np.full((100, 100), MIDDLE, np.uint16)
    image[0, :10], image[0, 10:20] = MIDDLE - 300, MIDDLE + 200
    image[1, 0] = 65535
    assert presentation.difference_scale(presentation.greys(image)) == 300
    assert presentation.difference_scale(presentation.greys(np.full((9, 9), MIDDLE, np.uint16))) == 1


def test_the_default_window_is_the_quantile_of_the_pixels_of_all_originals() -> None:
    images = [breast(seed) for seed in range(5)]
    window = presentation.default_window(sum(map(presentation.greys, images)))
    expected = np.quantile(np.concatenate([image.ravel() for image in images]), 0.995, method="inverted_cdf")
    assert window == Window(0, int(expected))


def test_an_outline_surrounds_the_strongest_change() -> None:
    image = np.full((100, 80), MIDDLE, np.uint16)
    image[20:31, 40:51] += 900
    image[80, 10] += 100
    circle = presentation.outline(image)
    assert circle and (circle.x, circle.y) == (45, 25) and 7 < circle.radius < 12
    assert presentation.outline(np.full((100, 80), MIDDLE, np.uint16)) is None


def test_mammograms_that_look_like_one_image_are_found() -> None:
    rng = np.random.default_rng(0)
    first, second = (rng.integers(9000, 60000, (96, 80)).astype(np.uint16) for _ in range(2))
    again = (first * 0.9 + rng.integers(0, 900, first.shape)).astype(np.uint16)
    ones, others = {"a": texture(first)}, {"b": texture(second), "c": texture(again)}
    assert list(look_alike(ones, others)) == [("a", "c")]


def test_an_image_file_is_little_endian_row_by_row() -> None:
    assert presentation.raw(np.array([[1, 256], [2, 3]], np.uint16)) == bytes([1, 0, 0, 1, 2, 0, 3, 0])
