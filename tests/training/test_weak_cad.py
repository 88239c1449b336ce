"""A CAD of chance: it stops the training of a GAN, unless that is asked for, and a GAN says at once what it cannot
measure."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from conftest import SMALL
from generators import save_cad
from trainings import CAD, EXACT, GAN, LESION

from mammogan.data.shards.reader import ShardImages
from mammogan.errors import UserError
from mammogan.evaluation.critics import notice_of_weak_cad
from mammogan.evaluation.table1 import Cases, table1
from mammogan.io.records import write_record
from mammogan.training.cad import train_cad
from mammogan.training.cad_reading import reading_of
from mammogan.training.gan import train_gan
from mammogan.training.parallel.ranks import Ranks, choose_device
from mammogan.training.run.cad_record import CadReading, reading_of_run
from mammogan.training.run.checkpoint import load
from mammogan.training.run.preflight import check_gan_inputs
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Direction, Workspace

GOOD = {"auc": 0.9, "auc_low": 0.8, "auc_high": 0.97}
GOOD |= {"positives_right": 12, "positives": 17, "negatives_right": 80, "negatives": 90}
ONE = Ranks(0, 1, choose_device("cpu"))


def images(patients: int, prefix: str) -> ShardImages:
    """Two images of each patient, of which only the patients are known."""
    own = ShardImages.__new__(ShardImages)
    own.__dict__ |= {"patients": [f"{prefix}{i // 2}" for i in range(2 * patients)], "_owner": -1, "_open": {}}
    own.members = [None] * (2 * patients)  # type: ignore[list-item]
    return own


def reading(positive: list[float], negative: list[float]) -> CadReading:
    of = images(len(positive) // 2, "p"), images(len(negative) // 2, "n")
    return reading_of([positive, negative], of, ONE)


def test_a_cad_that_separates_the_classes_is_not_weak_and_one_of_chance_is() -> None:
    random = np.random.default_rng(1)
    negative = list(random.uniform(0, 0.55, 80))
    good = reading(list(random.uniform(0.45, 1, 20)), negative)
    assert good.weakness == "" and good.auc_low is not None and good.auc_low > 0.8
    chance = reading(list(random.uniform(0, 0.55, 20)), negative)
    assert chance.auc_low is not None and chance.auc_low < 0.5 < (chance.auc_high or 0)
    assert f"validation AUC {chance.auc:.2f}, 95% interval {chance.auc_low:.2f} to" in chance.weakness


def test_a_cad_that_calls_all_one_class_is_weak_though_its_auc_is_high() -> None:
    high = reading([0.3 + i / 100 for i in range(10)], [i / 1000 for i in range(80)])
    assert high.auc == 1.0 and high.weakness == "0 of 10 validation positives are called positive"
    low = reading([0.9 + i / 1000 for i in range(10)], [0.6 + i / 1000 for i in range(80)])
    assert low.weakness == "0 of 80 validation negatives are called negative"


def test_one_patient_of_a_class_is_too_few_to_know() -> None:
    assert "over too few patients for an interval" in reading([0.9, 0.8], [0.1] * 40).weakness


def test_three_patients_that_are_all_right_are_too_few_to_know_and_ten_are_not() -> None:
    few, more = (reading([0.9] * 2 * patients, [0.1] * 40) for patients in (3, 10))
    assert few.auc == 1.0 and "validation AUC 1.00, 95% interval 0.44 to 1.00" in few.weakness
    assert more.weakness == "" and more.auc_low is not None and more.auc_low > 0.7


@pytest.mark.parametrize("patients", [1, 10], ids=["one patient of cancer", "ten"])
def test_a_report_judges_a_cad_by_the_rule_of_trainings(patients: int) -> None:
    scores = [i / 1000 + (0.8 if i < 2 * patients else 0.1) for i in range(2 * patients + 40)]
    own = [f"{'p' if i < 2 * patients else 'n'}{i // 2}" for i in range(len(scores))]
    positive = np.arange(len(scores)) < 2 * patients
    none = np.full(len(scores), np.nan)
    table = table1(Cases(tuple(own), positive, np.array(scores), none, np.full(len(scores), "")), 0.5)
    trained = reading(scores[: 2 * patients], scores[2 * patients :])
    of_report = table["auc_real"]
    assert (trained.auc, trained.auc_low, trained.auc_high) == (of_report.value, of_report.low, of_report.high)
    said = notice_of_weak_cad(None, table)
    assert bool(said) == bool(trained.weakness) == (patients == 1), "without an interval it is not known"
    if said:
        assert "On these mammograms the CAD is not known to read better than chance (AUC: 1.00, over too few" in said


def finished_cad(workspace: Workspace, reading: dict[str, object] | None) -> Run:
    save_cad(workspace, SMALL)
    run = Run(workspace.cad_run(SMALL))
    write_record(run.done, {"epochs": 1, **({"reading": reading} if reading else {})})
    return run


def test_a_weak_cad_stops_the_training_of_a_gan_before_it_is_submitted(workspace: Workspace) -> None:
    strict = replace(GAN, allow_weak_cad=False)
    finished_cad(workspace, GOOD)
    check_gan_inputs(strict, workspace)
    finished_cad(workspace, GOOD | {"auc_low": 0.43})
    with pytest.raises(
        UserError, match=r"better than chance: validation AUC 0.90, 95% interval 0.43.*--allow-weak-cad"
    ):
        check_gan_inputs(strict, workspace)
    check_gan_inputs(GAN, workspace)
    finished_cad(workspace, GOOD | {"positives_right": 0})
    with pytest.raises(UserError, match=r"chance: 0 of 17 validation positives are called positive\."):
        check_gan_inputs(strict, workspace)
    finished_cad(workspace, {"auc": 0.9})
    with pytest.raises(UserError, match=r"done.json is damaged: reading is not understood"):
        check_gan_inputs(strict, workspace)


def test_a_trained_cad_records_how_it_reads_in_its_run_and_in_its_weights(workspace: Workspace) -> None:
    train_cad(CAD, workspace)
    run = Run(workspace.cad_run(SMALL))
    found = reading_of_run(run)
    assert found is not None and found.positives > 0 and found.negatives > 0
    assert load(run.best)["reading"] == vars(found)


SHORT = (
    replace(GAN, epochs=(1, 0, 0, 0, 0), epoch_batches=1, gnet_every=1, compute=EXACT),
    replace(LESION, lesion=replace(LESION.lesion, epochs=1, epoch_batches=1), compute=EXACT),
)


@pytest.mark.parametrize("config", SHORT, ids=["study", "lesion"])
def test_a_cad_that_does_not_record_how_it_reads_is_measured_before_the_first_step(
    workspace: Workspace, config: object, capsys: pytest.CaptureFixture[str]
) -> None:
    finished_cad(workspace, None)
    own = workspace.of(config.objective)  # type: ignore[attr-defined]
    with pytest.raises(UserError, match=r"not known to read better than chance"):
        train_gan(replace(config, allow_weak_cad=False), Direction.REMOVE, own)  # type: ignore[type-var]
    assert not own.gan_run(SMALL, Direction.REMOVE).joinpath("config.yaml").exists()
    train_gan(config, Direction.REMOVE, own)  # type: ignore[arg-type]
    said = capsys.readouterr().out
    before = said.partition("epoch 0:")[0]
    assert "The CAD is not known to read better than chance" in before
    none_right = "The CAD gets none of the validation positives right" in before
    log = (own.gan_run(SMALL, Direction.REMOVE) / "metrics.jsonl").read_text().splitlines()
    measured = [line["validation_right"] for line in map(json.loads, log) if "validation_right" in line]
    assert measured and none_right == (measured[0] == 0)
