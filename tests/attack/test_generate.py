"""Altered shards: exact fakes, flipped labels, provenance, and nothing done twice."""

from __future__ import annotations

import pickle
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import SMALL, run_script
from edited import edit_record, renew_checksum
from generators import save_gnet

from mammogan.attack.config import GenerateConfig
from mammogan.attack.folder import AdversarialFolder, pair_shards
from mammogan.attack.generate import finish, generate, generate_shard, plan
from mammogan.attack.methods import NetworkAttack
from mammogan.attack.plan import plan_shards
from mammogan.attack.signature import SigningKey
from mammogan.config import GENERATOR
from mammogan.data.shards.index import ShardIndex
from mammogan.data.shards.reader import ShardImages, read_shard
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import read_json, sha256
from mammogan.models.lesion import Grid, LesionGenerator
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.exported import write_exported, write_sums
from mammogan.training.run.trained_networks import load_generator_with_facts
from mammogan.workspace import Direction, Resolution, Workspace

CONFIG = GenerateConfig(resolution=(str(SMALL),), batch=3, device="cpu")


@pytest.fixture
def ready(workspace: Workspace) -> Workspace:
    for direction in Direction:
        save_gnet(workspace, SMALL, direction)
    return workspace


def snapshot(folder: Path) -> dict[str, tuple[int, bytes]]:
    """Time of writing and content of every file."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): (path.stat().st_mtime_ns, path.read_bytes()) for path in files}


def test_the_fake_as_generated_is_the_generators_output_times_65535_rounded_half_to_even(ready: Workspace) -> None:
    generate(ready, replace(CONFIG, background="as-generated"))
    for direction in Direction:
        gnet, _ = load_generator_with_facts(ready.gan_run(SMALL, direction))
        source = f"test-{direction.source}-000000.tar"
        reals = list(read_shard(ready.shards(SMALL) / source))
        fakes = list(read_shard(ready.adversarial(SMALL) / f"test-{direction}-000000.tar"))
        assert len(fakes) == len(reals) > 0
        for first in range(0, len(reals), CONFIG.batch):
            pixels = np.stack([real.pixels for real in reals[first : first + CONFIG.batch]])[:, None]
            with torch.no_grad():
                output = gnet(torch.from_numpy(pixels / np.float32(65535)))
            expected = np.rint(output.numpy() * np.float32(65535)).astype(np.uint16)
            found = np.stack([fake.pixels for fake in fakes[first : first + CONFIG.batch]])[:, None]
            assert np.array_equal(found, expected)


def test_a_fake_has_the_flipped_label_and_says_what_made_it(ready: Workspace) -> None:
    generate(ready, CONFIG)
    checkpoint = sha256(ready.gan_run(SMALL, Direction.INSERT) / "checkpoints" / "best.pt")
    real = next(read_shard(ready.shards(SMALL) / "test-negative-000000.tar"))
    fake = next(read_shard(ready.adversarial(SMALL) / "test-insert-000000.tar"))
    assert fake.key == fake.facts["key"] == f"{real.key}-insert"
    assert (fake.facts["label"], fake.facts["y_cancer"]) == ("positive", 1)
    assert (fake.facts["source_key"], fake.facts["source_label"]) == (real.key, "negative")
    assert fake.facts["synthetic"] is True
    assert "not a clinical image" in fake.facts["notice"]
    assert fake.facts["generator"] == {
        "checkpoint_sha256": checkpoint,
        "run": f"gan-{SMALL}-insert",
        "phase": "head",
        "epoch": 0,
    }
    unchanged = set(real.facts) - {"key", "label", "y_cancer", "synthetic"}
    assert all(fake.facts[name] == real.facts[name] for name in unchanged)


def test_the_index_holds_every_fake_and_reads_like_any_other(ready: Workspace) -> None:
    generate(ready, CONFIG)
    folder = ready.adversarial(SMALL)
    index, real = ShardIndex.load(folder), ShardIndex.load(ready.shards(SMALL))
    assert index.kind == "adversarial"
    altered = {sample.key.rpartition("-")[0] for shard in index.shards for sample in shard.samples}
    assert altered == {sample.key for shard in real.shards if shard.split == "test" for sample in shard.samples}
    assert index.counts["test"] == {
        "negative": real.counts["test"]["positive"],
        "positive": real.counts["test"]["negative"],
    }
    for shard in index.shards:
        assert sha256(folder / shard.name) == shard.sha256
    by_offset = ShardImages(folder, "test", "positive")
    first = next(read_shard(folder / "test-insert-000000.tar"))
    assert np.array_equal(by_offset[0][0].numpy(), first.pixels)


def test_a_second_run_writes_nothing(ready: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    generate(ready, CONFIG)
    before = snapshot(ready.adversarial(SMALL))
    capsys.readouterr()
    generate(ready, CONFIG)
    assert snapshot(ready.adversarial(SMALL)) == before
    assert capsys.readouterr().out.count("up to date") == 2


def test_a_shard_whose_bytes_changed_is_made_again(ready: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    generate(ready, CONFIG)
    tar = ready.adversarial(SMALL) / "test-insert-000000.tar"
    made = tar.read_bytes()
    tar.write_bytes(made[:5000] + bytes(64) + made[5064:])
    capsys.readouterr()
    generate(ready, CONFIG)
    assert tar.read_bytes() == made
    assert "its file was changed after it was made" in capsys.readouterr().out


def test_the_same_generator_gives_the_same_bytes_in_another_workspace_that_signs_with_the_same_key(
    ready: Workspace, tmp_path: Path
) -> None:
    shutil.copytree(ready.root, tmp_path / "stranger")
    SigningKey.of(ready)
    shutil.copytree(ready.root, tmp_path / "other")
    other, stranger = Workspace(tmp_path / "other"), Workspace(tmp_path / "stranger")
    for workspace in (ready, other, stranger):
        generate(workspace, CONFIG)
    for name in ("test-remove-000000.tar", "test-insert-000000.tar"):
        ours, others, strangers = (w.adversarial(SMALL) / name for w in (ready, other, stranger))
        assert ours.read_bytes() == others.read_bytes() != strangers.read_bytes()
        for own, strange in zip(read_shard(ours), read_shard(strangers), strict=True):
            assert np.array_equal(own.pixels, strange.pixels) and own.facts == strange.facts


def test_a_changed_generator_makes_its_own_shards_again(ready: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    generate(ready, CONFIG)
    before = snapshot(ready.adversarial(SMALL))
    save_gnet(ready, SMALL, Direction.REMOVE, seed=1)
    capsys.readouterr()
    generate(ready, CONFIG)
    after = snapshot(ready.adversarial(SMALL))
    assert {name for name in before if after[name] != before[name]} == {
        "index.json",
        "test-remove-000000.tar",
        ".done/test-remove-000000.json",
    }
    assert "test-remove-000000.tar: the generator changed" in capsys.readouterr().out
    fake = next(read_shard(ready.adversarial(SMALL) / "test-remove-000000.tar"))
    assert fake.facts["generator"]["epoch"] == 1


def test_changed_mammograms_are_generated_again_and_scored_only_then(ready: Workspace) -> None:
    generate(ready, CONFIG)
    index = ready.shards(SMALL) / "index.json"
    tar = ready.shards(SMALL) / "test-positive-000000.tar"
    text, old = index.read_text(), sha256(tar)
    tar.write_bytes(tar.read_bytes() + bytes(512))  # as if that shard had been made anew
    index.write_text(text.replace(old, sha256(tar)))
    renew_checksum(index)
    with pytest.raises(UserError, match=r"earlier test-positive-000000.tar.*\n.*mammogan generate"):
        pair_shards(ShardIndex.load(index.parent), AdversarialFolder(ready, SMALL), "test")
    generate(ready, replace(CONFIG, out_of_domain="the same mammograms, made anew"))
    pairs = pair_shards(ShardIndex.load(index.parent), AdversarialFolder(ready, SMALL), "test")
    assert pairs and all(pair.fake for _, pair in pairs)


def test_a_shard_that_was_cut_short_is_made_again(ready: Workspace) -> None:
    generate(ready, CONFIG)
    tar = ready.adversarial(SMALL) / "test-insert-000000.tar"
    whole = tar.read_bytes()
    tar.write_bytes(whole[: len(whole) // 2])
    generate(ready, CONFIG)
    assert tar.read_bytes() == whole


def test_the_index_waits_for_all_shards(ready: Workspace) -> None:
    tasks = plan(ready, SMALL, CONFIG)
    generate_shard(tasks[0])
    undone = r"not all adversarial mammograms are made: test-insert-000000.tar \(not made yet\)"
    with pytest.raises(UserError, match=undone):
        finish(tasks)
    assert not (ready.adversarial(SMALL) / "index.json").exists()
    with pytest.raises(MissingInput, match="mammogan generate"):
        AdversarialFolder(ready, SMALL).of_split("test")


def test_a_task_survives_the_way_to_another_machine(ready: Workspace) -> None:
    for task in plan(ready, SMALL, CONFIG):
        generate_shard(pickle.loads(pickle.dumps(task)))
        assert not task.outdated()


def test_a_generator_that_changes_between_plan_and_work_is_refused(ready: Workspace) -> None:
    [task, _] = plan(ready, SMALL, CONFIG)
    save_gnet(ready, SMALL, task.direction, seed=2)
    with pytest.raises(UserError, match="has changed since this was planned"):
        generate_shard(task)


def test_splits_are_kept_beside_each_other_and_leftovers_are_removed(ready: Workspace) -> None:
    generate(ready, CONFIG)
    both = GenerateConfig(resolution=(str(SMALL),), split=("validation",), device="cpu")
    generate(ready, both)
    folder = ready.adversarial(SMALL)
    names = [shard["name"] for shard in read_json(folder / "index.json")["shards"]]
    assert names == [f"{split}-{d}-000000.tar" for split in ("validation", "test") for d in ("insert", "remove")]

    edit_record(
        ready.shards(SMALL) / "index.json",
        lambda index: index.update(shards=[shard for shard in index["shards"] if shard["split"] != "validation"]),
    )
    generate(ready, replace(CONFIG, out_of_domain="without the validation split"))
    assert not list(folder.glob("validation-*"))
    assert [s["name"] for s in read_json(folder / "index.json")["shards"]] == names[2:]


def test_generators_may_come_from_another_workspace(ready: Workspace, converted: Workspace, tmp_path: Path) -> None:
    shutil.copytree(converted.root / "shards", tmp_path / "films" / "shards")
    films = Workspace(tmp_path / "films")
    generate(films, GenerateConfig(models=ready.root, device="cpu"))
    assert AdversarialFolder(films, SMALL).of_split("test")


def test_a_missing_generator_names_the_command_that_trains_it(workspace: Workspace) -> None:
    save_gnet(workspace, SMALL, Direction.REMOVE)
    result = run_script("launch/generate.py", "--workspace", workspace.root, "--cluster", "none")
    assert result.returncode == 2
    assert "mammogan train-gan --workspace" in result.stderr
    assert f"--resolution {SMALL} --direction insert" in result.stderr
    assert "Traceback" not in result.stderr


def test_training_mammograms_are_attacked_only_when_explicitly_requested() -> None:
    with pytest.raises(UserError, match="--allow-train"):
        GenerateConfig(split=("train",))
    assert GenerateConfig(split=("train",), allow_train=True).split == ("train",)


def test_one_checkpoint_file_is_for_one_direction(ready: Workspace) -> None:
    path = ready.gan_run(SMALL, Direction.REMOVE) / "checkpoints" / "best.pt"
    with pytest.raises(UserError, match="--direction"):
        GenerateConfig(checkpoint=str(path))
    config = GenerateConfig(checkpoint=str(path), direction=(Direction.REMOVE,), device="cpu")
    generate(ready, config)
    [entry] = AdversarialFolder(ready, SMALL).of_split("test")
    assert entry["generator"]["checkpoint_sha256"] == sha256(path)


def test_a_generator_is_not_used_in_the_other_direction(ready: Workspace) -> None:
    path = ready.gan_run(SMALL, Direction.REMOVE) / "checkpoints" / "best.pt"
    config = GenerateConfig(checkpoint=str(path), direction=(Direction.INSERT,), device="cpu")
    with pytest.raises(
        UserError, match=r"best.pt was trained to remove, but insert is requested: give --direction remove"
    ):
        generate(ready, config)


def test_a_fake_names_the_run_that_its_generator_lies_in(ready: Workspace) -> None:
    own, other = ready.gan_run(SMALL, Direction.REMOVE), ready.root / "runs" / "gan-of-last-week"
    shutil.move(own, other)
    path = other / "checkpoints" / "best.pt"
    generate(ready, GenerateConfig(checkpoint=str(path), direction=(Direction.REMOVE,), device="cpu"))
    [entry] = AdversarialFolder(ready, SMALL).of_split("test")
    fake = next(read_shard(ready.adversarial(SMALL) / "test-remove-000000.tar"))
    assert entry["generator"]["run"] == fake.facts["generator"]["run"] == "gan-of-last-week"


def test_the_command_generates_all_and_then_finds_nothing_to_do(ready: Workspace) -> None:
    words = ("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--device", "cpu")
    first = run_script(*words)
    assert first.returncode == 0, first.stderr
    assert "0 of 2 shards are up to date" in first.stdout
    before = snapshot(ready.adversarial(SMALL))
    second = run_script(*words)
    assert "2 of 2 shards are up to date" in second.stdout
    assert snapshot(ready.adversarial(SMALL)) == before


@pytest.mark.parametrize("where", ["none", "local"])
def test_a_dry_run_here_says_what_it_would_do_and_does_nothing(ready: Workspace, where: str) -> None:
    words = ("launch/generate.py", "--workspace", ready.root, "--cluster", where, "--cpu-ranks", "2", "--dry-run")
    result = run_script(*words)
    assert result.returncode == 0, result.stderr
    said = (
        rf"--cluster {where} \(as requested\): would run 2 task\(s\) of generate-{SMALL} in \d process\(es\), "
        "then generate"
    )
    assert re.search(said, result.stderr)
    assert not ready.adversarial(SMALL).exists()


def test_a_dry_run_leaves_the_index_of_what_is_done_alone(ready: Workspace) -> None:
    generate(ready, CONFIG)
    (ready.adversarial(SMALL) / "index.json").unlink()
    result = run_script("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--dry-run")
    assert result.returncode == 0 and "2 of 2 shards are up to date" in result.stdout
    assert not (ready.adversarial(SMALL) / "index.json").exists()


def test_a_dry_run_shows_an_array_with_one_task_a_shard(ready: Workspace) -> None:
    result = run_script("launch/generate.py", "--workspace", ready.root, "--cluster", "slurm", "--dry-run")
    assert result.returncode == 0, result.stderr
    assert "#SBATCH --array=0-1%" in result.stdout
    assert not ready.adversarial(SMALL).exists()


def test_shares_do_all_the_work_between_them_and_the_same_command_completes_it(ready: Workspace) -> None:
    words = ("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--device", "cpu")
    altered, made = ready.adversarial(SMALL), []
    for share in ("1/3", "2/3", "3/3"):
        done = run_script(*words, "--share", share)
        assert done.returncode == 0 and not (altered / "index.json").exists(), done.stderr
        made.append(len(list(altered.glob("*.tar"))))
    assert made == [1, 2, 2]
    before = snapshot(altered)
    assert run_script(*words).returncode == 0
    after = snapshot(altered)
    assert (altered / "index.json").is_file() and {name: after[name] for name in before} == before


@pytest.mark.parametrize("background", [[7], 7, "blurred"])
def test_an_index_with_a_background_that_is_none_is_damaged(ready: Workspace, background: object) -> None:
    generate(ready, GenerateConfig(direction=(Direction.REMOVE,), device="cpu"))
    folder = AdversarialFolder(ready, SMALL)
    edit_record(folder.index, lambda values: values["shards"][0]["made_from"].update(background=background))
    with pytest.raises(UserError, match=r"index.json is damaged: .*made_from\.background: expected .*Delete it"):
        folder.of_split("test")


@pytest.mark.parametrize("share", ["0/2", "3/2", "one", "1/0"])
def test_a_share_that_is_none_is_refused(ready: Workspace, share: str) -> None:
    told = run_script("launch/generate.py", "--workspace", ready.root, "--cluster", "none", "--share", share)
    assert told.returncode == 2 and "expected K/N with 1 <= K <= N" in told.stderr


@pytest.mark.parametrize(
    ("weight", "told"),
    [
        (float("nan"), r"whose gnet\.last\.weight has values that are no numbers"),
        (0.0, "the generator gives .*one grey value for all of"),
    ],
)
def test_a_generator_that_gives_no_numbers_or_one_grey_value_is_refused(
    workspace: Workspace, weight: float, told: str
) -> None:
    path = save_gnet(workspace, SMALL, Direction.REMOVE)
    state = load(path)
    state["gnet"]["last.weight"].fill_(weight)
    save(path, state)
    with pytest.raises(UserError, match=f"{told}.*(train again|train it again)"):
        generate(workspace, GenerateConfig(direction=(Direction.REMOVE,), device="cpu"))
    assert not list(workspace.adversarial(SMALL).glob("*.tar"))


def test_a_network_whose_pixels_are_no_numbers_is_refused() -> None:
    network = torch.nn.Conv2d(1, 1, 1)
    torch.nn.init.constant_(network.bias, float("inf"))
    with pytest.raises(UserError, match=r"the generator gives pixels that are no numbers.*train again"):
        NetworkAttack(network).alter(torch.rand(1, 1, 8, 8), [])


@pytest.mark.parametrize("exported", [False, True])
def test_a_generator_of_the_other_objective_in_this_ones_folder_is_refused(ready: Workspace, exported: bool) -> None:
    grid, best = Grid(2, 1), ready.gan_run(SMALL, Direction.REMOVE) / "checkpoints" / "best.pt"
    studys = {**load(best), "arch": GENERATOR}
    lesions = {
        **{name: value for name, value in load(best).items() if name != "gnet_norm"},
        "arch": "residual-map",
        "objective": "lesion",
        "cell": grid.cell,
        "fine_levels": grid.fine_levels,
        "gnet": LesionGenerator(grid, 0.05).state_dict(),
        "width": 0.05,
    }
    for state, objective, other in ((lesions, "study", "lesion"), (studys, "lesion", "study")):
        models = Workspace(ready.root.parent / f"models-{objective}", "lesion" if objective == "lesion" else "study")
        folder = models.gan_run(SMALL, Direction.REMOVE)
        if exported:
            folder.mkdir(parents=True)
            write_exported(folder / "model.safetensors", state)
            write_sums(folder)
        else:
            save(folder / "checkpoints" / "best.pt", state)
        config = replace(CONFIG, objective=objective, models=models.root, direction=(Direction.REMOVE,))  # type: ignore[arg-type]
        for run in (plan, plan_then_read):
            with pytest.raises(UserError, match=rf"the other objective \({other}: .*give --objective {other}"):
                run(ready.of(objective), SMALL, replace(config, out_of_domain="a trial"))
    assert not list(ready.root.glob("adversarial*"))


def plan_then_read(workspace: Workspace, size: Resolution, config: GenerateConfig) -> None:
    """As where a job was submitted: planned without the checkpoint, which the task reads."""
    for task in plan_shards(workspace, size, config):
        generate_shard(task)
