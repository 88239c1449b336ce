"""Measures of realism have known values on images whose difference is known."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from trainings import write_vgg_weights

from mammogan.data.shards.reader import Sample
from mammogan.errors import UserError
from mammogan.evaluation.beyond.originals import Originals
from mammogan.evaluation.beyond.realism import (
    Features,
    flat_patches,
    kernel_distance,
    noise_power,
    permutation_p,
    psnr,
    ssim,
)
from mammogan.evaluation.beyond.sections.realism import (
    Reference,
    another_patients,
    real_against_real,
    realism_section,
)
from mammogan.workspace import Direction

SIDE = 96
BREAST = np.zeros((SIDE, SIDE), bool)
BREAST[:, : SIDE // 2] = True


def image(seed: int = 0, noise: float = 300.0) -> np.ndarray:
    """Air on the right, on the left grey that rises downwards, with noise."""
    grey = 20000 + np.linspace(0, 8000, SIDE)[:, None] + np.random.default_rng(seed).normal(0, noise, (SIDE, SIDE))
    return np.where(BREAST, grey, 0).round().astype(np.uint16)


def test_psnr_counts_the_breast_alone() -> None:
    real = image()
    changed = np.where(BREAST, real + 100, real).astype(np.uint16)
    assert abs(psnr(real, changed, BREAST) - 20 * math.log10(65535 / 100)) < 1e-9
    in_the_air = np.where(BREAST, real, 5000).astype(np.uint16)
    assert psnr(real, in_the_air, BREAST) == math.inf


def test_ssim_of_equal_images_is_one_and_falls_with_noise() -> None:
    real = image()
    assert abs(ssim(real, real, BREAST) - 1) < 1e-12
    little, much = (
        (real + BREAST * np.random.default_rng(1).normal(0, s, real.shape)).clip(0, 65535).astype(np.uint16)
        for s in (200, 4000)
    )
    assert 1 > ssim(real, little, BREAST) > ssim(real, much, BREAST) > -1


def test_the_noise_power_of_flat_patches_is_the_variance_of_the_noise() -> None:
    power = noise_power(image(noise=300), flat_patches(image(noise=300), BREAST))
    assert power is not None and abs(math.sqrt(power) - 300) < 30
    assert noise_power(image(), []) is None


def test_flat_patches_avoid_an_edge_and_the_air() -> None:
    edged = image(noise=20).astype(int)
    edged[: SIDE // 2] += 20000
    places = flat_patches(edged.astype(np.uint16), BREAST)
    assert places and all(BREAST[place].all() for place in places)
    assert all(place[0].stop <= SIDE // 2 or place[0].start >= SIDE // 2 for place in places)


def test_two_halves_of_one_set_have_a_kernel_distance_about_zero_and_shifted_ones_have_not() -> None:
    draws = np.random.default_rng(0)
    same = [kernel_distance(draws.normal(size=(20, 16)), draws.normal(size=(20, 16))) for _ in range(200)]
    assert abs(np.mean(same)) < 3 * np.std(same) / math.sqrt(len(same)) + 1e-3
    one, other = draws.normal(size=(20, 16)), draws.normal(0.8, 1, size=(20, 16))
    assert kernel_distance(one, other) > 3 * np.std(same)
    assert permutation_p(one, other) < 0.01 < permutation_p(one, draws.normal(size=(20, 16)))


def test_the_kernel_distance_is_the_unbiased_estimate_written_out() -> None:
    draws = np.random.default_rng(3)
    x, y = draws.normal(size=(4, 5)), draws.normal(size=(6, 5))

    def k(a: np.ndarray, b: np.ndarray) -> float:
        return float((a @ b / 5 + 1) ** 3)

    own = sum(k(a, b) for i, a in enumerate(x) for j, b in enumerate(x) if i != j) / (4 * 3)
    others = sum(k(a, b) for i, a in enumerate(y) for j, b in enumerate(y) if i != j) / (6 * 5)
    between = sum(k(a, b) for a in x for b in y) / (4 * 6)
    assert abs(kernel_distance(x, y) - (own + others - 2 * between)) < 1e-12


def test_random_features_are_named_as_such_the_same_at_every_call_and_given_weights_are_used(tmp_path: Path) -> None:
    one, two = Features(), Features()
    assert one.name == "VGG11 with random weights"
    assert np.array_equal(one.of([image()]), two.of([image()]))
    assert not np.allclose(one.of([image(0)]), one.of([image(1, 3000)]))
    weights = Features(write_vgg_weights(tmp_path / "vgg.pth", width=1.0))
    assert weights.name == "VGG11 with the given weights" and weights.of([image()]).shape == (1, 512)
    (tmp_path / "other.pth").write_text("no weights")
    with pytest.raises(UserError, match="not a torch weight file"):
        Features(tmp_path / "other.pth")


def originals(*patients: str) -> Originals:
    """One image of each patient named, all different."""
    return Originals(tuple(Sample(f"{n}", image(n), {"patient": of}) for n, of in enumerate(patients)))


@pytest.mark.parametrize("patients", [("p1",), ("p1", "p1", "p1")])
def test_real_against_real_of_one_patient_is_not_available_and_says_why(patients: tuple[str, ...]) -> None:
    against = Reference(originals("v1", "v2"), Features())
    looks = real_against_real(originals(*patients), against, Direction.REMOVE, 0)
    section = realism_section([], [looks], "", True)
    first, second, *_ = section.tables[0].table.rows[0].cells
    assert (first.text, second.text) == ("n/a", "n/a") and "are one patient's" in first.why == second.why
    (values,) = section.values["real_against_real"]
    assert values["psnr_median"] is values["ssim_median"] is None and values["images"] == len(patients)
    assert "are one patient's" in values["psnr_and_ssim_missing"]


def test_real_against_real_compares_an_image_with_another_patients_alone() -> None:
    assert another_patients(["p1", "p2", "p3", "p1"]) == [2, 0, 1, 2]
    assert another_patients(["p1", "p1", "p2"]) == [2, 2, 1]
    looks = real_against_real(
        originals("p1", "p2", "p1"), Reference(originals("v1", "v2"), Features()), Direction.INSERT, 0
    )
    assert np.isfinite(looks.psnr).all() and not looks.unpaired
