"""What the phantoms look like in numbers: bands for what docs/phantom.md quotes."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import phantom_numbers
import pytest

from mammogan.data.phantom import lesions, texture
from mammogan.data.phantom.picture import draw
from mammogan.data.phantom.plan import plan_cohort
from mammogan.data.phantom.settings import PhantomConfig
from mammogan.data.phantom.streams import Purpose, stream

COARSE = PhantomConfig(patients=300, seed=3, height=192, width=160, preset="demo")


def test_the_measured_spectrum_exponent_is_a_mammograms() -> None:
    """2.9 to 3.3; Chen et al. 2012 measured 3.17 +- 0.23 in CC views."""
    found = phantom_numbers.exponents(replace(COARSE, patients=30, height=768, width=640), 8)
    assert len(found) >= 6
    assert 2.9 < np.mean(found) < 3.3


def test_the_spectrum_measurement_finds_the_exponent_of_a_known_field() -> None:
    for exponent in (2.5, 3.2):
        field = texture.power_law(np.random.default_rng(0), (512, 512), 0.3, exponent)
        pixels = (2000 + 200 * field).clip(0, 4095).astype(np.uint16)
        measured = phantom_numbers.spectrum_exponent(pixels, np.ones(pixels.shape, bool), 0.3)
        assert measured == pytest.approx(exponent, abs=0.15)


def test_a_blob_finder_scores_well_on_demo_lesions_but_not_perfectly() -> None:
    assert 0.82 < phantom_numbers.blob_auc(COARSE, 90) < 0.95


def test_a_blob_finder_is_near_chance_on_physical_lesions() -> None:
    assert 0.4 < phantom_numbers.blob_auc(replace(COARSE, preset="physical"), 90) < 0.62


def test_hardly_a_pixel_is_clipped() -> None:
    for picture, _ in zip(phantom_numbers.pictures(COARSE, "positive"), range(20), strict=False):
        assert phantom_numbers.clipped_share(picture) < 0.001


def test_gland_takes_the_share_of_the_volume_that_the_literature_gives() -> None:
    """Yaffe: mean 19.3%, 95% of women below 45%."""
    shares = phantom_numbers.gland_share(COARSE, 80)
    assert 0.16 < np.mean(shares) < 0.25
    assert np.percentile(shares, 95) < 0.5


def test_calcifications_keep_their_volume_at_any_pixel_size() -> None:
    volumes = [
        lesions.malignant_cluster(stream(0, Purpose.LESION), spacing).crossed.sum() * spacing**2
        for spacing in (0.07, 0.14, 0.3, 1.2)
    ]
    assert np.ptp(volumes) < 0.02 * volumes[0]


def test_the_same_patient_has_the_same_lesion_size_and_nipple_distance_in_both_views() -> None:
    config = replace(COARSE, patients=60)
    for patient in [patient for patient in plan_cohort(config) if patient.label == "positive"][:8]:
        views = [draw(config, patient, image) for image in patient.images]
        (one,), (other,) = (picture.lesions for picture in views)
        assert one.kind == other.kind
        assert one.radius_mm == pytest.approx(other.radius_mm, rel=0.5)


def test_interpolation_keeps_straight_lines_straight() -> None:
    ramp = np.add.outer(np.arange(40.0), 2 * np.arange(30.0)).astype(np.float32)
    fine = texture.resample(ramp, (120, 90), 0.28)
    rows, columns = ((np.arange(side) + 0.5) * 0.28 - 0.5 for side in (120, 90))
    inside = np.s_[10:-20, 10:-20]
    assert fine[inside] == pytest.approx(np.add.outer(rows, 2 * columns)[inside], abs=1e-3)
