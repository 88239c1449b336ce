"""The critic is watched: what is measured, when it counts as dead, and what is told of it."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from conftest import SMALL
from generators import save_gnet
from rich.console import Console
from torch import Tensor, nn
from trainings import start_ranks

from mammogan.errors import UserError
from mammogan.evaluation.critics import notices_of_dead_critics
from mammogan.models.losses import identity
from mammogan.models.networks import Cad
from mammogan.models.penalty import reference
from mammogan.training.critic_life import ALIVE, CriticLife, faults
from mammogan.training.critic_watch import as_judged, change, own_pictures, watch
from mammogan.training.gan_state import Best
from mammogan.training.parallel.ranks import Ranks
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run
from mammogan.training.run.trained_networks import load_generator_with_facts
from mammogan.training.validation import Fooled, _movement
from mammogan.workspace import Direction, Workspace

ALONE = Ranks(0, 1, torch.device("cpu"))


def pictures(count: int, brightness: float, seed: int) -> Tensor:
    """uint16 (count,1,8,8) around a brightness."""
    noise = torch.rand(count, 1, 8, 8, generator=torch.Generator().manual_seed(seed)) * 0.2
    return ((noise + brightness) * 65535).to(torch.uint16)


TARGETS, SOURCES = pictures(5, 0.6, 1), pictures(4, 0.2, 2)


def brightness(pixels: Tensor) -> Tensor:
    """A critic whose logit is 10 times the mean: its gradient is 10 / 64 at every value, so its norm is 10 / 8."""
    return 10 * pixels.mean((1, 2, 3))[:, None]


def brighter(pixels: Tensor) -> Tensor:
    return pixels + 0.1


def unit(given: Tensor) -> Tensor:
    return given.float() / 65535


def test_the_figures_equal_those_computed_manually() -> None:
    found = watch(brightness, brighter, TARGETS, SOURCES, ALONE)
    target, source = (10 * unit(given).mean((1, 2, 3)).double() for given in (TARGETS, SOURCES))
    both = torch.cat([target, source, source + 1])
    assert found.critic_sd == pytest.approx(float((both - both.mean()).square().mean().sqrt()), rel=1e-6)
    assert found.critic_sd_sources == pytest.approx(float((source - source.mean()).square().mean().sqrt()), rel=1e-5)
    assert found.critic_gradient == pytest.approx(10 / 8)
    assert found.auc_source == found.auc_adversarial == 1
    assert found.change == pytest.approx(float(identity(unit(SOURCES) + 0.1, unit(SOURCES))), rel=1e-6)
    assert found.change == change(brighter, SOURCES, ALONE)


def test_aucs_count_pairs_and_ties_half() -> None:
    """Targets at 1, 2 and 3, adversarial pictures at 2 (a tie with one, above one, below one)."""
    levels = torch.tensor([1, 2, 3], dtype=torch.float32).view(3, 1, 1, 1).expand(3, 1, 2, 2) / 4
    targets = (levels * 65532).to(torch.uint16)
    found = watch(brightness, lambda pixels: pixels + targets[1:2].float() / 65535, targets, targets[:1] * 0, ALONE)
    assert (found.auc_source, found.auc_adversarial) == (1, 0.5)


def test_the_gradient_is_the_one_that_the_penalty_differentiates() -> None:
    torch.manual_seed(0)
    critic = Cad(0.05).discriminator()
    given = pictures(3, 0.3, 3).repeat(1, 1, 12, 12)
    with as_judged(critic):
        found = watch(critic.score, lambda pixels: pixels, given, given, ALONE, prepare=critic.normalise)
        norms = reference.scores_and_powers(critic, unit(given), None, "sum", 1.0, None)[1].detach()
    assert critic.training and found.critic_gradient == pytest.approx(norms.mean().item(), rel=1e-5)
    assert not any(weight.grad is not None for weight in critic.parameters())


def test_a_critic_that_sees_a_coarser_picture_is_differentiated_by_that() -> None:
    found = watch(brightness, brighter, TARGETS, SOURCES, ALONE, prepare=nn.AvgPool2d(4))
    assert found.critic_gradient == pytest.approx(10 / 2), "four values are left of 64"
    assert found.critic_sd == pytest.approx(watch(brightness, brighter, TARGETS, SOURCES, ALONE).critic_sd, rel=1e-5)


TWO_RANKS = """
import torch
from test_critic_watch import SOURCES, TARGETS, brighter, brightness
from mammogan.training.critic_watch import own_pictures, watch
from mammogan.training.parallel.ranks import joined
torch.set_num_threads(1)
with joined("cpu") as ranks:
    own = [own_pictures(list(images), 32, ranks) for images in (TARGETS, SOURCES)]
    print(watch(brightness, brighter, *own, ranks))
"""


def test_two_ranks_find_what_one_finds_to_the_last_bit() -> None:
    words = [sys.executable, "-c", TWO_RANKS]
    paths = {"cwd": Path(__file__).parent, "stdout": subprocess.PIPE}
    processes = start_ranks([words, words], **paths)
    told = [process.communicate(timeout=240)[0].strip() for process in processes]
    assert told == [str(watch(brightness, brighter, TARGETS, SOURCES, ALONE))] * 2


def test_ranks_share_the_first_mammograms() -> None:
    shares = [own_pictures(list(TARGETS), 4, Ranks(rank, 3, ALONE.device)) for rank in range(3)]  # type: ignore[arg-type]
    assert [len(share) for share in shares] == [2, 1, 1]
    assert torch.equal(torch.cat([shares[0][:1], shares[1], shares[2], shares[0][1:]]), TARGETS[:4])
    assert len(own_pictures(list(TARGETS), 2, Ranks(2, 3, ALONE.device))) == 0  # type: ignore[arg-type]


def test_a_flat_critic_is_dead_and_a_lively_one_alive() -> None:
    def alive(factor: float, generator: nn.Module, reproduction: float | None) -> bool:
        found = watch(lambda pixels: factor * brightness(pixels), generator, TARGETS, SOURCES, ALONE)
        return not faults(vars(found), reproduction)

    still, moving = nn.Identity(), nn.Threshold(0.25, 0.25)
    assert alive(1, moving, 0.001) and alive(1, still, None)
    assert not alive(1e-3, moving, 0.001) and not alive(0, moving, None)
    assert not alive(1, still, 0.0), "a generator that changes no more than it did learns nothing"


def test_logits_that_are_no_numbers_are_no_life() -> None:
    found = watch(lambda pixels: brightness(pixels) * math.nan, brighter, TARGETS, SOURCES, ALONE)
    assert found.auc_source is None and len(faults(vars(found), None)) == 2


LIVES = {"critic_sd": 0.2, "critic_gradient": 0.3, "change": 0.02}
FLAT = {"critic_sd": 0.002, "critic_gradient": ALIVE, "change": 0.002}


def test_a_dead_critic_is_reported_once_with_advice_and_living_epochs_are_counted() -> None:
    life, told = CriticLife(), []
    for epoch, figures in enumerate([LIVES, FLAT, LIVES, FLAT, FLAT], 3):
        told.append(life.count(epoch, figures, 0.004, "use a lower rate"))
    assert [bool(sentence) for sentence in told] == [False, True, False, False, False]
    assert told[1] == (
        "the critic is dead in epoch 4 (the s.d. of its logits is 0.002, alive above 0.05; the norm of its gradient is "
        "0.05, alive above 0.05; the generator changes 0.002 (Eq. 7), no more than its reproduction error of 0.004) "
        "and teaches nothing: use a lower rate"
    )
    expected = {"alive_epochs": 2, "adversarial_epochs": 5, "died_in_epoch": 6, "notice": told[1]}
    assert life.summary() == expected
    life.count(8, LIVES, 0.004, "")
    assert (life.summary()["died_in_epoch"], life.summary()["notice"]) == (None, None)


def test_without_one_living_epoch_the_summary_says_that_there_is_no_best() -> None:
    life = CriticLife()
    assert life.summary()["notice"] is None
    life.count(0, FLAT, None, "wait longer")
    assert "no best generator and the newest is used" in life.summary()["notice"]


def test_the_history_in_an_earlier_checkpoint_is_read() -> None:
    recorded = {"alive_epochs": 1, "adversarial_epochs": 3, "died_in_epoch": 1, "told": "the critic is dead"}
    life = CriticLife.of_state(recorded)
    assert life == CriticLife.of_state(vars(life)) and life.summary()["notice"] == "the critic is dead"


def test_the_best_generators_score_is_called_rank_in_checkpoints_of_all_versions() -> None:
    best = Best(0.5, 0.01, 0.25)
    assert best.state() == {"fooled": 0.5, "identity": 0.01, "rank": 0.25}
    assert Best.of_state(best.state()) == best and Best.of_state(None) is None
    assert Best.of_state([0.5, 0.01]) == Best(0.5, 0.01) and Best(0.5, 0.01).score == -math.inf


def test_few_right_calls_are_outweighed_by_how_far_all_moved_and_many_are_not() -> None:
    lucky, honest = Fooled(7, 7, 0.002, 0.1), Fooled(7, 5, 0.002, 0.9)
    assert lucky.score < honest.score
    assert Fooled(200, 190, 0.002, 0.1).score > Fooled(200, 150, 0.002, 0.9).score
    assert Fooled(7, 5, 0.002, 0.9).score == pytest.approx((5 + 9) / 17 - 0.02)
    assert Fooled(7, 7, 0.06, 0.9).score < honest.score, "a broken autoencoder pays for what it changes"
    assert Fooled(7, 7, 0.0).score == pytest.approx(7 / 17), "where the movement is not known it is taken for none"


def test_movement_is_a_share_of_the_way_to_the_other_label() -> None:
    assert _movement(before=2.0, after=1.0, targets=-2.0, source_label=1) == 0.25
    assert _movement(before=-2.0, after=0.0, targets=2.0, source_label=0) == 0.5
    assert _movement(before=2.0, after=3.0, targets=-2.0, source_label=1) == 0
    assert _movement(before=2.0, after=-5.0, targets=-2.0, source_label=1) == 1
    assert _movement(before=2.0, after=1.0, targets=2.5, source_label=1) is None
    assert _movement(before=2.0, after=1.0, targets=None, source_label=1) is None


def test_the_table_on_a_terminal_fits_eighty_columns(tmp_path: Path) -> None:
    reporter = Reporter(Run(tmp_path), "gan-1728x1408-remove", writes=True, tensorboard=False)
    means = {"identity": 0.001234, "gap": -0.01234, "dis_real": -0.9, "dis_fake": -0.9, "penalty": 1.234e-05}
    validated = {"validation_fooled": 0.2857, "validation_right": 7, "validation_movement": 0.123}
    watched = {**vars(watch(brightness, brighter, TARGETS, SOURCES, ALONE)), "critic_alive": False}
    for epoch in range(100, 103):
        reporter.epoch(epoch, phase="last-layer", **means, skipped=0, **watched, **validated, validation_identity=0.1)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(reporter._table("gan-1728x1408-remove last-layer 103: batch 1 of 2"))
    reporter.close()
    drawn = captured.get()
    assert "dead" in drawn and "last-layer" in drawn and "…" not in drawn and "skipped" not in drawn
    assert len(drawn.splitlines()) == 1 + 3 + 3 + 2, f"no row is folded:\n{drawn}"
    [line, *_] = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert line["critic_alive"] is False and line["auc_source"] == 1 and line["validation_identity"] == 0.1


@pytest.mark.parametrize("name", ["message", "told"])
def test_a_report_mentions_only_generators_whose_critic_was_dead(name: str, tmp_path: Path) -> None:
    """Earlier versions called the message "told"."""
    events = [
        {"event": "epoch", "epoch": 0, "phase": "warm-gnet"},
        {"event": "epoch", "epoch": 1, "phase": "head", "critic_alive": True},
        {"event": "critic", "epoch": 2, name: "the critic is dead in epoch 2"},
        {"event": "epoch", "epoch": 2, "phase": "head", "critic_alive": False},
    ]
    (tmp_path / "gan").mkdir()
    (tmp_path / "gan" / "metrics.jsonl").write_text("".join(json.dumps(event) + "\n" for event in events) + "{torn")
    told = [notices_of_dead_critics(tmp_path, [{"run": "gan", "epoch": epoch}]) for epoch in (1, 2, 3)]
    assert told[:2] == [[], []] and notices_of_dead_critics(tmp_path, [{"run": "elsewhere", "epoch": 3}]) == []
    assert "a living critic in 1 of 2 epochs" in told[2][0] and "the critic is dead in epoch 2." in told[2][0]


def test_a_report_says_where_a_damaged_log_cannot_tell_whether_the_critic_lived(tmp_path: Path) -> None:
    (tmp_path / "gan").mkdir()
    alive = json.dumps({"event": "epoch", "epoch": 1, "phase": "head", "critic_alive": True}) + "\n"
    (tmp_path / "gan" / "metrics.jsonl").write_text(alive + '{"event": "epo\n[]\n')
    [told] = notices_of_dead_critics(tmp_path, [{"run": "gan", "epoch": 3}])
    assert told.startswith("2 lines in metrics.jsonl of gan cannot be read, so it is not known")
    assert notices_of_dead_critics(tmp_path, [{"run": "gan", "epoch": 2}]) == []


def test_a_generator_of_an_unknown_kind_is_refused_with_those_that_are_known(workspace: Workspace) -> None:
    path = save_gnet(workspace, SMALL, Direction.REMOVE)
    assert load_generator_with_facts(path.parent, which=str(path))[1].phase == "head", (
        "one that does not say is the study's"
    )
    save(path, load(path) | {"arch": "hourglass"})
    with pytest.raises(UserError, match=r"of the kind 'hourglass', and this version knows unet"):
        load_generator_with_facts(path.parent, which=str(path))
