"""A detector trained afresh sees an obvious artefact, and nothing where there is nothing."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from scipy import ndimage

from mammogan.evaluation.detector import Images, train_detector
from mammogan.evaluation.forensics.fresh_detector import (
    detect_by_network,
    spectrum_features,
    train_and_test_detectors,
)

SIDE = 32
STEPS = 60


def fields(count: int, seed: int) -> np.ndarray:
    """Smooth random pictures, uint16 (count,SIDE,SIDE)."""
    noise = np.random.default_rng(seed).normal(size=(count, SIDE, SIDE))
    smooth = ndimage.gaussian_filter(noise, (0, 2, 2))
    return np.rint((0.5 + 0.1 * smooth / smooth.std()).clip(0.05, 1) * 65535).astype(np.uint16)


def striped(images: np.ndarray) -> np.ndarray:
    """With a chequered pattern as of a careless upsampling."""
    pattern = (np.indices((SIDE, SIDE)).sum(0) % 2 * 2 - 1) * 5000
    return (images.astype(int) + pattern).clip(0, 65535).astype(np.uint16)


def test_an_obvious_artefact_is_found_by_both_detectors() -> None:
    train = Images(fields(24, 0), striped(fields(24, 1)))
    found = train_and_test_detectors(train, Images(fields(20, 2), striped(fields(20, 3))), steps=STEPS)
    assert found.spectrum.test > 0.99 and found.spectrum.train > 0.99
    assert found.network[0].test > 0.95 and found.network[0].train > 0.95


def test_pictures_of_one_kind_cannot_be_distinguished() -> None:
    train = Images(fields(40, 0), fields(40, 1))
    found = train_and_test_detectors(train, Images(fields(40, 2), fields(40, 3)), steps=STEPS)
    assert 0.3 < found.spectrum.test < 0.7
    assert 0.3 < found.network[0].test < 0.7


def test_a_seed_gives_the_same_figures_again_another_one_others_and_no_draw_of_ours_is_used_up() -> None:
    train, test = Images(fields(12, 0), fields(12, 1)), Images(fields(12, 2), fields(12, 3))
    torch.manual_seed(7)
    expected = torch.rand(1)
    torch.manual_seed(7)
    found = train_and_test_detectors(train, test, seeds=(1, 2), steps=8)
    assert torch.rand(1) == expected
    assert found.network[1] == detect_by_network(train, test, 1, 8)
    assert found.network[1] != found.network[2]


def test_features_are_those_of_the_rings_and_the_finest_detail() -> None:
    plain, fine = (spectrum_features(images[0]) for images in (fields(1, 0), striped(fields(1, 0))))
    assert plain.shape == (25,) and np.isfinite(plain).all()
    assert fine[-1] - plain[-1] > 1
    assert np.abs(fine - plain)[:12].max() < 0.3
    assert np.isfinite(spectrum_features(np.zeros((SIDE, SIDE), np.uint16))).all()


def test_images_of_different_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="four sets of images of one size"):
        train_and_test_detectors(Images(fields(2, 0), fields(2, 0)), Images(fields(2, 0), fields(2, 0)[:, :16]))
    with pytest.raises(ValueError, match="four sets of images of one size"):
        train_and_test_detectors(Images(fields(2, 0), fields(2, 0)[:0]), Images(fields(2, 0), fields(2, 0)))


def test_a_patient_in_both_sets_is_refused() -> None:
    train = Images(fields(2, 0), fields(2, 1), frozenset({"a", "b"}))
    with pytest.raises(ValueError, match="1 patients are in both training and test images, such as b"):
        train_and_test_detectors(train, Images(fields(2, 2), fields(2, 3), frozenset({"b", "c"})))


def test_a_training_ends_when_the_detector_separates_its_images() -> None:
    easy = Images(fields(16, 0), striped(fields(16, 1)))
    ended = train_detector(easy, steps=100_000, enough=0.99)
    assert ended.auc(easy) >= 0.99
    images = fields(4, 2)
    never = train_detector(easy, steps=8, enough=0.0).scores(images)
    assert np.array_equal(never, train_detector(easy, steps=8).scores(images)), "it is not looked at before CHECK steps"


def test_a_trained_detector_scores_an_image_alone_as_it_does_among_others_and_survives_pickling() -> None:
    images = np.concatenate([fields(20, 2), striped(fields(20, 3))])
    detector = train_detector(Images(fields(24, 0), striped(fields(24, 1))), steps=STEPS)
    together = detector.scores(images)
    assert together[:20].max() < together[20:].min()
    alone = [float(detector.scores([image])[0]) for image in images]
    np.testing.assert_allclose(alone, together, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(pickle.loads(pickle.dumps(detector)).scores(images), together)
    assert detector.scores([]).shape == (0,)
