"""Forensic numbers are what they say, and no trace of how an image was made tells adversarial ones from originals."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import SMALL, draw_phantoms, positives
from generators import save_cad, save_lighting_gnet

from mammogan.attack.config import EvaluateConfig, GenerateConfig
from mammogan.attack.generate import generate
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.evaluation.evaluate import evaluate
from mammogan.evaluation.forensics.giveaways import ARTEFACTS, BOUND, NAMES, giveaways
from mammogan.evaluation.forensics.measures import ForensicPair, Forensics, forensics
from mammogan.evaluation.predictions import Prediction
from mammogan.evaluation.report.giveaways_section import NUMBERS
from mammogan.evaluation.scores import Scored
from mammogan.io.atomic import read_json
from mammogan.workspace import SPLITS, Direction, Workspace

CONFIG = GenerateConfig(split=SPLITS, allow_train=True, device="cpu")  # type: ignore[arg-type]
AIR = 327


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Enough patients that those with cancer and those without differ by chance in no number of an image."""
    folder = tmp_path_factory.mktemp("many")
    workspace = Workspace(folder / "work")
    convert_cohort(draw_phantoms(folder / "phantom", 90, 5, "96x96"), workspace, [SMALL], jobs=1)
    for direction in Direction:
        save_lighting_gnet(workspace, SMALL, direction)
    return workspace


@pytest.fixture
def lit(workspace: Workspace) -> Workspace:
    """With generators that put light in the air and small noise everywhere."""
    save_cad(workspace, SMALL)
    for direction in Direction:
        save_lighting_gnet(workspace, SMALL, direction)
    return workspace


def measured(workspace: Workspace) -> list[Scored]:
    """All mammograms of all splits with their forensic numbers, as if they had been scored."""
    found = []
    for shard in ShardIndex.load(workspace.shards(SMALL)).shards:
        direction = next(d for d in Direction if d.source == shard.label)
        reals = read_shard(workspace.shards(SMALL) / shard.name)
        fakes = read_shard(workspace.adversarial(SMALL) / shard.name.replace(shard.label, str(direction)))
        found += [scored(real, fake) for real, fake in zip(reals, fakes, strict=True)]
    return found


def scored(real: Sample, fake: Sample) -> Scored:
    asked = Prediction(str(SMALL), real.key, real.facts["patient"], real.facts["label"], 0.5, "original")
    return Scored(asked, None, "", None, ForensicPair.measure(real.pixels, fake.pixels))


def test_no_artefact_gives_images_away_on_the_originals_background(many: Workspace) -> None:
    generate(many, CONFIG)
    for direction, found in giveaways(measured(many)).items():
        assert found["images"] >= 30, direction
        told = {name: found["auc"][name] for name in ARTEFACTS}
        assert not {n: auc for n, auc in told.items() if max(auc.values()) > BOUND}, direction


def test_as_generated_each_artefact_of_the_background_gives_images_away(many: Workspace) -> None:
    generate(many, replace(CONFIG, background="as-generated"))
    for found in giveaways(measured(many)).values():
        for name in ("zeros", "minimum", "corner", "off_grid"):
            assert found["auc"][name] == {"of_sources": 1, "of_pretended": 1}


def test_an_images_numbers_are_what_they_say() -> None:
    pixels = np.zeros((96, 96), np.uint16)
    pixels[:, :48] = 20000
    pixels[10:20, 10:20], pixels[0, 0], pixels[90, 90] = 40000, 328, 100
    found = forensics(pixels, None)
    assert found.zeros == pytest.approx(0.5 - 1 / 96**2)
    assert (found.minimum, found.corner) == (0, 0)
    assert found.breast_minimum == 328 / 65535 and found.maximum == 40000 / 65535
    assert found.distinct == 3 / (96 * 48)
    assert found.off_grid is None
    pixels[pixels == 0] = 200
    lifted = forensics(pixels, None)
    assert (lifted.zeros, lifted.minimum) == (0, 100 / 65535)
    assert lifted.corner == pytest.approx(200 / 65535)


@pytest.mark.parametrize("shape", [(96, 96), (192, 160), (1024, 832)])
@pytest.mark.parametrize("exponent", [1.5, 3.0])
def test_the_slope_of_a_power_law_is_its_exponent_at_every_size(shape: tuple[int, int], exponent: float) -> None:
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(side) for side in shape], indexing="ij"))
    frequency[0, 0] = 1
    noise = np.random.default_rng(1).normal(size=shape)
    field = np.fft.ifft2(np.fft.fft2(noise) / frequency ** (exponent / 2)).real
    pixels = (10000 + 40000 * (field - field.min()) / np.ptp(field)).astype(np.uint16)
    assert forensics(pixels, None).slope == pytest.approx(exponent, rel=0.15)


def test_the_slope_of_a_phantom_falls_with_noise_and_the_noise_is_what_was_added(workspace: Workspace) -> None:
    real = positives(workspace)[0]
    added = np.random.default_rng(0).normal(0, 3000, real.pixels.shape) * (real.pixels > AIR)
    noisy = np.clip(real.pixels + added, 328 * (real.pixels > AIR), 65535).astype(np.uint16)
    before, after = forensics(real.pixels, None), forensics(noisy, None)
    assert before.slope is not None and after.slope is not None and after.slope < before.slope - 0.2
    assert before.noise is not None and after.noise is not None
    assert np.sqrt(after.noise**2 - before.noise**2) * 65535 == pytest.approx(3000 * np.sqrt(8 / 9), rel=0.1)


@pytest.mark.parametrize("grey", [0, 300, 30000])
def test_an_even_image_has_numbers_where_there_is_something_to_measure(grey: int) -> None:
    found = forensics(np.full((96, 96), grey, np.uint16), None)
    assert found.minimum == found.corner == pytest.approx(grey / 65535)
    assert found.slope is None
    assert (found.noise, found.distinct) == ((0, 1 / 96**2) if grey > AIR else (None, None))


def test_an_original_has_nothing_off_its_grid_and_one_number_more_shows(workspace: Workspace) -> None:
    real = positives(workspace)[0]
    changed = real.pixels.copy()
    changed[real.pixels > 20000] += 7
    pair = ForensicPair.measure(real.pixels, changed)
    assert pair.real.off_grid == 0 and pair.fake is not None
    assert pair.fake.off_grid == pytest.approx((real.pixels > 20000).mean())


def numbers(**others: float | None) -> Forensics:
    return replace(Forensics(0.5, 0, 0.1, 0, 0, 0.2, 0.9, 3, 0.01), **others)  # type: ignore[arg-type]


def test_an_auc_is_the_share_of_pairs_in_order_whichever_way_round() -> None:
    def one(label: str, real: Forensics, fake: Forensics) -> Scored:
        return Scored(
            Prediction("96x96", "k", "anna", label, 0.5, "original"), None, "", None, ForensicPair(real, fake)
        )

    images = [one("positive", numbers(noise=n, off_grid=None), numbers(noise=f)) for n, f in ((4, 3), (2, 1))]
    images += [one("negative", numbers(noise=2), numbers(noise=5))]
    found = giveaways(images)
    assert (found["remove"]["images"], found["remove"]["sources"], found["remove"]["pretended"]) == (2, 2, 1)
    assert found["remove"]["auc"]["noise"] == {"of_sources": 0.75, "of_pretended": 0.5}
    assert found["insert"]["auc"]["noise"] == {"of_sources": 1, "of_pretended": 1}
    assert found["remove"]["auc"]["off_grid"] == {"of_sources": None, "of_pretended": 0.5}
    assert found["remove"]["auc"]["zeros"] == {"of_sources": 0.5, "of_pretended": 0.5}


def test_the_report_says_which_numbers_give_the_images_away(lit: Workspace) -> None:
    generate(lit, GenerateConfig(background="as-generated", device="cpu"))
    page: Path = evaluate(lit, EvaluateConfig(bootstrap=100, examples=1, device="cpu"))
    text = page.read_text()
    assert "Does a single number give them away?" in text and set(NUMBERS) == set(NAMES)
    assert all(words in text for words in NUMBERS.values())
    assert "Given away by: share of pixels that are exactly 0 (remove, 1.00)" in text
    assert "What remove made was saved as generated" in text
    held = read_json(page.parent / "table1.json")["resolutions"][str(SMALL)]
    assert held["forensics"]["insert"]["auc"]["corner"] == {"of_sources": 1, "of_pretended": 1}
    assert held["provenance"]["background"] == {"insert": "as-generated", "remove": "as-generated"}
    scores = read_json(next((lit.scores("test") / str(SMALL)).glob("*.json")))["scores"]
    assert scores[0]["forensics"]["real"]["off_grid"] == 0 and scores[0]["forensics"]["fake"]["off_grid"] > 0.5
