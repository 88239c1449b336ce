"""A training shows its progress from the first batch on, also after a resume, and its table fits 80 columns."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from rich.console import Console

from mammogan.training.run.reporter import Reporter
from mammogan.training.run.run_folder import Run

GAN = {"identity": 0.00123, "gap": -0.0123, "dis_real": -0.9, "dis_fake": -0.9, "penalty": 1.2e-05, "skipped": 0}
WATCHED = {"critic_sd": 1.25e-05, "critic_sd_sources": 0.1, "critic_gradient": 1.25e-05, "auc_source": 0.5}
VALIDATED = {"validation_fooled": 0.286, "validation_right": 7, "validation_movement": 0.123}
LESION = {"critic": -1.2345, "r1": 1.2e-05, "generator": 12.345, "map": 0.00123, "map_of_targets": 0.00123}
CAD = {"phase": "fnet", "focal": 0.123456, "penalty": 1.234e-05, "validation_auc": None, "validation_loss": 0.6931}


class Terminal(io.StringIO):
    """A terminal of 80 columns."""

    def isatty(self) -> bool:
        return True


def screen_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys, "stdout", screen := Terminal())
    return screen


def reporter_of(run: Path, lines: int = 0, epoch: int = 0) -> Reporter:
    return Reporter(Run(run), "cad-96x96", writes=True, tensorboard=False, lines=lines, epoch=epoch)


def test_a_terminal_shows_the_first_batch_before_and_after_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    screen = screen_of(monkeypatch)
    reporter = reporter_of(tmp_path)
    reporter._live.refresh()  # type: ignore[union-attr]
    assert "cad-96x96: the first batch is under way" in screen.getvalue()
    reporter.batch(1, 100, 4, epoch=0)
    reporter._live.refresh()  # type: ignore[union-attr]
    assert "cad-96x96 epoch 0: batch 1 of 100" in screen.getvalue() and "images/s" not in screen.getvalue()
    reporter.close()


def test_after_a_resume_the_table_has_the_earlier_epochs_and_the_batches_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = screen_of(monkeypatch)
    for lines in (0, 2):
        reporter = reporter_of(tmp_path, lines, epoch=lines)
        for epoch in range(lines, 2):
            reporter.epoch(epoch, **CAD)
        reporter.batch(21, 100, 4, epoch=2)
        reporter._live.refresh()  # type: ignore[union-attr]
        reporter.close()
    resumed = screen.getvalue().rpartition("under way")[2]
    assert "0.693" in resumed and "cad-96x96 epoch 2: batch 21 of 100" in resumed


@pytest.mark.parametrize(
    "facts",
    [
        CAD | {"validation_auc": 0.98765, "images_per_second": 123.456, "skipped": 12},
        {"phase": "adversarial", **GAN, **WATCHED, "auc_adversarial": 0.5, "change": 0.1, **VALIDATED},
        {"phase": "last-layer", **GAN, **WATCHED, "auc_adversarial": 0.51234, **VALIDATED, "critic_alive": True},
        {"phase": "last-layer", **GAN, "skipped": 12, **WATCHED, **VALIDATED, "critic_alive": False},
        {"phase": "lesion", **LESION, "gap": -0.0123, **WATCHED, "auc_adversarial": 0.5, **VALIDATED},
        {"phase": "lesion", **LESION, "gap": -0.0123, "skipped": 3, **WATCHED, **VALIDATED, "critic_alive": False},
    ],
)
def test_the_table_of_every_training_fits_eighty_columns(facts: dict[str, object], tmp_path: Path) -> None:
    reporter = reporter_of(tmp_path)
    for epoch in (8, 100):
        reporter.epoch(epoch, **facts)
    console = Console(width=80)
    with console.capture() as captured:
        console.print(reporter._table("cad-96x96 epoch 100: batch 1 of 2"))
    reporter.close()
    drawn = captured.get()
    assert "…" not in drawn and len(drawn.splitlines()) == 1 + 3 + 2 + 2, drawn
