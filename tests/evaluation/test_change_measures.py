"""Measures of removal and insertion on changes made by hand, with the values they must have."""

from __future__ import annotations

import math

import numpy as np
import pytest

from mammogan.data.blobs.disc import best_disc
from mammogan.data.shards.reader import Sample
from mammogan.evaluation.lesion.change_measures import DISC_MM, Insertion, RealBlob, count_blobs, measure_insertion
from mammogan.evaluation.lesion.controls import ControlScore
from mammogan.evaluation.lesion.summary import control_summary, insertion_summary, removal_summary, spread
from mammogan.evaluation.phantom_truth import STEP, LesionTruth, Removal, compare_with_truth
from mammogan.evaluation.predictions import Prediction
from mammogan.evaluation.scores import Change, Scored
from mammogan.statistics.bootstrap import Resampling

SHAPE = (100, 80)
SPACING = [1.0, 1.0]
PATIENTS = [f"p{i}" for i in range(12)]
RESAMPLING = Resampling(100, 0)


def disc(row: int, column: int, radius: float) -> np.ndarray:
    rows, columns = np.ogrid[: SHAPE[0], : SHAPE[1]]
    return np.hypot(rows - row, columns - column) <= radius


def sample(pixels: np.ndarray, spacing: list[float] | None = SPACING) -> Sample:
    return Sample("k", pixels, {"spacing_mm": spacing})


def even() -> np.ndarray:
    return np.full(SHAPE, 20000, np.uint16)


def test_closeness_in_decibel_is_twenty_times_the_logarithm_of_the_distances() -> None:
    assert Removal(1.0, 0.1, 0.04, 0.02).closer_db == pytest.approx(20 * math.log10(2))
    assert Removal(1.0, 0.1, 0.04, 0.04).closer_db == 0.0
    assert Removal(1.0, 0.1, 0.04, 0.4).closer_db == pytest.approx(-20)
    assert Removal(1.0, 0.1, 0.1, 0.0).closer_db == pytest.approx(20 * math.log10(0.1 / STEP))
    assert Removal(1.0, 0.1, None, None).closer_db is None
    assert Removal(1.0, 0.1, 0.0, 0.1).closer_db is None


def test_energy_near_and_decibel_of_a_change_calculated_manually() -> None:
    lesion = disc(50, 40, 5)
    twin, real = even(), even()
    real[lesion] += 4000
    fake = real.copy()
    fake[lesion] -= 2000
    fake[0, :10] += 2000
    near = disc(50, 40, 8)
    found = compare_with_truth(real, fake, LesionTruth(lesion, near, twin))
    inside = int(lesion.sum())
    assert found.energy_near == pytest.approx(inside / (inside + 10))
    assert found.untouched == pytest.approx(4000 / 65535) and found.removed == pytest.approx(2000 / 65535)
    assert found.progress == pytest.approx(0.5) and found.closer_db == pytest.approx(6.0206, abs=1e-4)


def test_three_decibel_counts_the_images_that_came_that_close() -> None:
    distances = (0.4 * 10 ** (-2.9 / 20), 0.4 * 10 ** (-3.1 / 20), 0.1, 0.5)
    removals = [Removal(1.0, 0.1, 0.4, removed) for removed in distances]
    found = removal_summary([Change(1.0, 1.0, removal) for removal in removals], PATIENTS[: len(removals)], RESAMPLING)
    assert found is not None
    assert (found["three_db"]["numerator"], found["three_db"]["denominator"]) == (2, 4)
    assert found["closer_db"]["median"] == pytest.approx(3.0)
    assert found["closer_db"]["mean"] == pytest.approx(np.mean([r.closer_db for r in removals]))
    assert spread([None, 1.0, 3.0], PATIENTS[:3], RESAMPLING)["mean"] == 2.0


def test_a_compact_change_is_one_blob_in_one_disc() -> None:
    fake = even()
    fake[disc(30, 50, 6)] += 5000
    found = measure_insertion(sample(even()), sample(fake))
    assert found.in_disc == pytest.approx(1.0) and found.blobs == 1
    assert found.peak == pytest.approx(5000 / 65535)
    assert found.at_centre is True and found.response is not None and found.response > 0
    share, centre = best_disc((fake - even().astype(float)) ** 2, SPACING, DISC_MM)
    assert share == pytest.approx(1.0) and math.dist(centre, (30, 50)) <= 12.75 - 6


def test_two_equal_changes_far_apart_are_two_blobs_with_half_of_the_energy_each() -> None:
    fake = even()
    for row in (20, 80):
        fake[disc(row, 40, 5)] -= 3000
    found = measure_insertion(sample(even()), sample(fake))
    assert found.in_disc == pytest.approx(0.5) and found.blobs == 2 and found.peak == pytest.approx(3000 / 65535)


def test_an_even_change_has_the_share_of_the_discs_area() -> None:
    share, _ = best_disc(np.ones(SHAPE), SPACING, DISC_MM)
    assert share == pytest.approx(disc(50, 40, 12.75).sum() / (100 * 80))
    assert count_blobs(np.ones(SHAPE), SPACING) == 1


def test_fine_pixels_give_the_measures_of_coarse_ones() -> None:
    energy = (disc(30, 50, 6) + 0.5 * disc(80, 20, 4)).astype(float)
    fine = np.kron(energy, np.ones((5, 5)))
    share, centre = best_disc(energy, SPACING, DISC_MM)
    assert best_disc(fine, [0.2, 0.2], DISC_MM)[0] == pytest.approx(share)
    assert best_disc(fine, [0.2, 0.2], DISC_MM)[1] == (centre[0] * 5 + 2, centre[1] * 5 + 2)
    assert count_blobs(fine, [0.2, 0.2]) == count_blobs(energy, SPACING) == 2


def test_no_change_has_no_shape_and_no_pixel_size_no_disc() -> None:
    same = measure_insertion(sample(even()), sample(even()))
    assert (same.in_disc, same.blobs, same.peak, same.at_centre) == (None, None, 0.0, None)
    fake = even()
    fake[0, 0] = 0
    unknown = measure_insertion(sample(even(), None), sample(fake, None))
    assert unknown == Insertion(None, None, pytest.approx(20000 / 65535), None, None)


def scored(name: str, label: str, before: float, after: float, blob: RealBlob | None, change: Change) -> Scored:
    direction = "remove" if label == "positive" else "insert"
    real = Prediction("96x96", name, name, label, before, "original")
    fake = Prediction("96x96", f"{name}-x", name, "", after, "adversarial", direction, name)
    return Scored(real, fake, "", change, blob=blob)


def inserted(name: str, before: float, after: float, own: float, response: float, at_centre: bool) -> Scored:
    change = Change(1.0, 1.0, None, Insertion(0.9, 1, 0.2, response, at_centre))
    return scored(name, "negative", before, after, RealBlob(own, None), change)


def removed(name: str, before: float, after: float, response: float = 0.0, at_lesion: bool = False) -> Scored:
    change = Change(1.0, 1.0, Removal(0.5, 0.1, 0.4, 0.2))
    return scored(name, "positive", before, after, RealBlob(response, at_lesion), change)


def test_found_means_above_the_negatives_threshold_at_the_changes_centre() -> None:
    every = [
        inserted("a", 0.1, 0.9, own=1.0, response=9.0, at_centre=True),  # found and fooled
        inserted("b", 0.1, 0.2, own=2.0, response=9.0, at_centre=True),  # found
        inserted("c", 0.1, 0.9, own=3.0, response=9.0, at_centre=False),  # fooled, the detector looks elsewhere
        inserted("d", 0.9, 0.9, own=4.0, response=9.0, at_centre=True),  # found, was not called rightly
        inserted("e", 0.1, 0.9, own=5.0, response=4.1, at_centre=True),  # fooled, below the threshold of 4.2
        removed("f", 0.9, 0.1, response=9.0, at_lesion=True),
        removed("g", 0.9, 0.1, response=4.0, at_lesion=True),
        removed("h", 0.9, 0.1, response=9.0, at_lesion=False),
    ]
    found = insertion_summary(every, 0.5, RESAMPLING)
    assert found is not None and found["blob_threshold"] == pytest.approx(4.2)
    counted = {n: (found[n]["numerator"], found[n]["denominator"]) for n in ("found", "found_and_fooled")}
    assert counted == {"found": (3, 5), "found_and_fooled": (1, 4)}
    assert (found["real_lesions_found"]["numerator"], found["real_lesions_found"]["denominator"]) == (1, 3)
    assert found["blobs"]["median"] == 1 and found["in_disc"]["mean"] == pytest.approx(0.9)
    assert insertion_summary(every[5:], 0.5, RESAMPLING) is None


def test_controls_are_counted_among_the_positives_that_the_cad_called_correctly() -> None:
    every = [removed("a", 0.9, 0.1), removed("b", 0.8, 0.7), removed("c", 0.4, 0.1)]
    perfect = Removal(1.0, 0.1, 0.4, 0.2)
    controls = [ControlScore(s.real.key, "twin", 0.2, perfect) for s in every]
    controls += [ControlScore(s.real.key, "contrast", 0.6, None) for s in every]
    rows = control_summary(every, controls, 0.5, RESAMPLING)
    assert rows is not None
    counted = {name: (row["fooled"]["numerator"], row["fooled"]["denominator"]) for name, row in rows.items()}
    assert counted["generator"] == (1, 2) and counted["twin"] == (2, 2) and counted["contrast"] == (0, 2)
    assert rows["twin"]["closer_db"]["median"] == pytest.approx(6.02, abs=0.01)
    assert rows["twin"]["three_db"]["numerator"] == 3 and rows["contrast"]["closer_db"]["median"] is None
    assert rows["identity"]["reason"] == "not trained" and rows["identity"]["fooled"]["value"] is None
    assert control_summary(every, None, 0.5, RESAMPLING) is None
