"""What is saved of a generator's output: the original's air bit for bit, grey values that its source could store."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, run_script
from generators import save_cad, save_gnet

from mammogan.attack.config import GenerateConfig
from mammogan.attack.folder import AdversarialFolder
from mammogan.attack.generate import finish, generate, generate_shard, plan
from mammogan.attack.grey_grid import GreyGrid
from mammogan.attack.original_background import breast_of, with_original_background
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.data.dicom.greyscale import window_linear, window_sigmoid
from mammogan.data.shards.reader import Sample, read_shard
from mammogan.errors import UserError
from mammogan.io.atomic import read_json
from mammogan.io.records import read_record, write_record
from mammogan.models.networks import Gnet, tissue
from mammogan.training.parallel.ranks import joined
from mammogan.training.run.optimizer import Precision
from mammogan.training.run.trained_networks import load_cad
from mammogan.training.validation import fooled
from mammogan.workspace import Direction, Resolution, Workspace

CONFIG = GenerateConfig(device="cpu")
AS_GENERATED = replace(CONFIG, background="as-generated")
AIR = 327
BITS = np.arange(1 << 12)


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    return workspace


def pairs(workspace: Workspace, resolution: Resolution = SMALL) -> list[tuple[Sample, Sample]]:
    found = []
    for direction in Direction:
        reals = read_shard(workspace.shards(resolution) / f"test-{direction.source}-000000.tar")
        fakes = read_shard(workspace.adversarial(resolution) / f"test-{direction}-000000.tar")
        found += list(zip(reals, fakes, strict=True))
    return found


def noisy(original: np.ndarray, seed: int = 0) -> np.ndarray:
    """As a generator gives it back: with light in the air and values between the grid's."""
    noise = np.random.default_rng(seed).normal(500, 900, original.shape)
    return np.clip(original + noise, 0, 65535).astype(np.uint16)


def picture(levels: np.ndarray, shape: tuple[int, int] = (192, 160), seed: int = 0) -> np.ndarray:
    """A picture of values of ``levels``, but for the first, in one half, and of 0 in the other."""
    rng = np.random.default_rng(seed)
    stored = np.clip(rng.normal(0.5, 0.12, shape) * len(levels), 1, len(levels) - 1).astype(int)
    shown = np.rint(levels.astype(np.float32)).astype(np.uint16)[stored]
    shown[:, shape[1] // 2 :] = 0
    return shown


def test_air_stays_bit_for_bit_and_the_breast_changes(ready: Workspace) -> None:
    generate(ready, CONFIG)
    for real, fake in pairs(ready):
        air = real.pixels <= AIR
        assert 0.2 < air.mean() < 0.9
        assert np.array_equal(fake.pixels[air], real.pixels[air])
        assert (fake.pixels != real.pixels)[~air].mean() > 0.9
        assert fake.pixels[~air].min() == real.pixels[~air].min()


def test_a_phantom_of_12_bits_keeps_its_grey_grid(ready: Workspace) -> None:
    generate(ready, CONFIG)
    shown = BITS / 4095 * 65535
    levels = {"MONOCHROME1": 65535 - shown, "MONOCHROME2": shown}
    for real, fake in pairs(ready):
        grid = GreyGrid.of(real.pixels)
        assert grid is not None and grid.even
        assert grid.share_off(real.pixels) == grid.share_off(fake.pixels) == 0
        assert np.isin(fake.pixels, np.rint(levels[real.facts["photometric"]].astype(np.float32))).all()


def test_a_resampled_mammogram_has_no_grid_and_takes_the_generators_values(phantom: Path, tmp_path: Path) -> None:
    size, workspace = Resolution(128, 128), Workspace(tmp_path / "work")
    convert_cohort(phantom / "labels.csv", workspace, [size], jobs=1)
    for direction in Direction:
        save_gnet(workspace, size, direction)
    generate(workspace, AS_GENERATED)
    plain = {fake.key: fake.pixels for _, fake in pairs(workspace, size)}
    generate(workspace, CONFIG)
    for real, fake in pairs(workspace, size):
        assert GreyGrid.of(real.pixels) is None
        darkest = real.pixels[real.pixels > AIR].min()
        breast = real.pixels > darkest
        kept = np.where(plain[fake.key] > darkest, plain[fake.key], real.pixels)
        assert np.array_equal(fake.pixels[breast], kept[breast])


def test_a_changed_setting_makes_all_again_and_says_so(ready: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    generate(ready, AS_GENERATED)
    tasks = plan(ready, SMALL, CONFIG)
    assert {task.outdated() for task in tasks} == {"--background is now original"}
    with pytest.raises(UserError, match="--background is now original"):
        finish(tasks)
    assert all(generate_shard(task) for task in tasks) and not any(generate_shard(task) for task in tasks)
    assert "--background is now original; making" in capsys.readouterr().out
    assert {task.outdated() for task in plan(ready, SMALL, AS_GENERATED)} == {"--background is now as-generated"}


def test_shards_from_before_there_was_a_choice_are_made_again(ready: Workspace) -> None:
    generate(ready, CONFIG)
    for marker in (ready.adversarial(SMALL) / ".done").glob("*.json"):
        entry = read_record(marker)
        entry["made_from"] = {**entry["made_from"], "alteration": 1}
        del entry["made_from"]["background"]
        write_record(marker, entry)
    reasons = {task.outdated() for task in plan(ready, SMALL, CONFIG)}
    assert reasons == {"made by another version, --background is now original"}


def test_index_and_samples_record_what_became_of_the_background(ready: Workspace) -> None:
    for config in (AS_GENERATED, CONFIG):
        generate(ready, config)
        index = read_json(AdversarialFolder(ready, SMALL).index)
        assert {shard["made_from"]["background"] for shard in index["shards"]} == {config.background}
        assert {fake.facts["background"] for _, fake in pairs(ready)} == {config.background}


def test_the_command_takes_the_setting_and_refuses_others(ready: Workspace) -> None:
    words = ("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--device", "cpu", "--background")
    done = run_script(*words, "as-generated")
    assert done.returncode == 0, done.stderr
    assert {fake.facts["background"] for _, fake in pairs(ready)} == {"as-generated"}
    assert run_script(*words, "black").returncode != 0


def test_air_is_the_same_for_arrays_and_tensors_of_any_kind() -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    assert np.array_equal(breast_of(every), every > AIR)
    tensor = torch.from_numpy(every)
    assert np.array_equal(tissue(tensor).numpy(), breast_of(every))
    assert np.array_equal(tissue(tensor.to(torch.float32) / 65535).numpy(), breast_of(every))


def test_what_was_not_changed_stays_and_nothing_becomes_as_dark_as_the_darkest_of_the_breast() -> None:
    original = picture(BITS / 4095 * 65535)
    assert np.array_equal(with_original_background(original, original, "original"), original)
    changed = original.copy()
    changed[40:60, 10:30] = 0  # a generator's black would make a heap at one grey, which one number finds
    changed[60:70, 10:30] = 40000
    saved = with_original_background(original, changed, "original")
    brighter = (changed == 40000) & (original > AIR)
    assert np.array_equal(saved[~brighter], original[~brighter])
    assert np.abs(saved[brighter].astype(int) - 40000).max() < 20
    assert with_original_background(original, np.full_like(original, 65535), "original").max() == 65535


def test_an_image_of_air_alone_and_one_without_air_are_saved_too() -> None:
    air, full = np.full((32, 32), 200, np.uint16), np.full((32, 32), 30000, np.uint16)
    assert np.array_equal(with_original_background(air, noisy(air), "original"), air)
    assert with_original_background(full, noisy(full), "original").shape == full.shape
    assert np.array_equal(with_original_background(full, noisy(full), "as-generated"), noisy(full))


@pytest.mark.parametrize("bits", [8, 10, 12, 13, 14])
@pytest.mark.parametrize("inverted", [False, True])
def test_stretched_bits_are_found_as_the_very_grid_that_they_are(bits: int, inverted: bool) -> None:
    levels = np.arange(1 << bits) / ((1 << bits) - 1) * 65535
    levels = 65535 - levels if inverted else levels
    grid = GreyGrid.of(picture(np.sort(levels)))
    true = np.rint(levels.astype(np.float32)).astype(np.uint16)
    assert grid is not None and grid.even
    assert set(grid.levels) - {0} == set(true) - {0}


@pytest.mark.parametrize(("center", "width"), [(2000.3, 3777), (1800, 3000), (1500, 2500.5)])
def test_the_grid_of_a_window_is_found_except_for_a_hundredth_of_its_levels(center: float, width: float) -> None:
    levels = np.clip(window_linear(BITS.astype(float), center, width), 0, 1) * 65535
    original = picture(levels)
    grid = GreyGrid.of(original)
    assert grid is not None and grid.even and grid.share_off(original) == 0
    altered = grid.snap(noisy(original))[original > AIR]
    assert (~np.isin(altered, np.rint(levels.astype(np.float32)))).mean() < 0.01


def test_a_sigmoid_leaves_its_own_values_as_the_grid() -> None:
    levels = window_sigmoid(BITS.astype(float), 2048, 3000) * 65535
    original = picture(levels)
    grid = GreyGrid.of(original)
    assert grid is not None and not grid.even and grid.share_off(original) == 0
    saved = with_original_background(original, noisy(original), "original")
    assert grid.share_off(saved) == 0
    darkest = original[original > AIR].min()
    breast = original > darkest
    assert (~np.isin(saved, np.rint(levels.astype(np.float32))))[breast].mean() < 0.05
    generated = breast & (saved != original)
    assert np.abs(saved.astype(int) - noisy(original))[generated].max() < 65535 / 100


def test_values_everywhere_or_too_few_of_them_are_no_grid() -> None:
    rng = np.random.default_rng(0)
    assert GreyGrid.of(rng.integers(0, 65536, (192, 160)).astype(np.uint16)) is None
    assert GreyGrid.of(np.clip(rng.normal(30000, 3000, (192, 160)), 0, 65535).astype(np.uint16)) is None
    assert GreyGrid.of(rng.integers(0, 10, (192, 160)).astype(np.uint16) * 5000) is None


def test_one_pixel_between_the_steps_is_enough_to_have_no_even_grid() -> None:
    original = picture(BITS / 4095 * 65535)
    original[5, 5] = 30000 + 8
    grid = GreyGrid.of(original)
    assert grid is None or not grid.even
    assert grid is None or grid.share_off(original) == 0


def test_snapping_takes_the_nearest_level() -> None:
    grid = GreyGrid.of(picture(BITS / 4095 * 65535))
    assert grid is not None
    pixels = np.random.default_rng(0).integers(0, 65536, 200).astype(np.uint16)
    distance = np.abs(pixels[:, None].astype(int) - grid.levels.astype(int))
    assert np.array_equal(grid.snap(pixels), grid.levels[distance.argmin(1)])


def test_validation_judges_what_would_be_saved_so_light_in_the_air_is_none(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    save_cad(workspace, SMALL)
    air = torch.full((1, SMALL.height, SMALL.width), 100, dtype=torch.uint16)
    breast = torch.full((1, SMALL.height, SMALL.width), 40000, dtype=torch.uint16)
    torch.manual_seed(0)
    gnet, cad = Gnet(0.05), load_cad(workspace.cad_run(SMALL))
    with joined("cpu") as ranks:
        precision = Precision.choose("fp32", ranks.device)
        found = [fooled(gnet, cad, [image], 0, precision, ranks).identity for image in (air, breast)]  # type: ignore[arg-type]
    assert found[0] == 0 and found[1] is not None and found[1] > 0
