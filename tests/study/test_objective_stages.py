"""Both objectives on a cluster and in a study: who waits for whom, whose settings are whose, and what is watched."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.slurm.submit import _after
from mammogan.errors import MissingInput
from mammogan.io.atomic import write_json
from mammogan.io.options import parse
from mammogan.study.commands import StudyCommand
from mammogan.study.pipeline import StudyPlan
from mammogan.watch.stages import stages_of
from mammogan.workspace import OBJECTIVES, Direction, Objective, Resolution, Workspace

SMALL = Resolution(96, 96)
SECTIONS = {
    "gan": {"width": "0.05", "lr-gnet": "1e-3", "lesion": {"epochs": "3"}, "lesion.cells": "24", "time": "1:00:00"},
    "cad": {"width": "0.05", "vgg-weights": "none"},
}


def line(workspace: Workspace, objectives: tuple[Objective, ...]) -> StudyPlan:
    cluster = ClusterConfig()
    return StudyPlan(workspace, (SMALL,), None, SECTIONS, cluster, "none", objectives)  # type: ignore[arg-type]


def test_each_objective_has_stages_of_its_own_and_insertion_comes_after_removal(workspace: Workspace) -> None:
    stages = {stage.name: stage for stage in line(workspace, OBJECTIVES).stages()}
    assert stages["gan-96x96-insert"].needs == ("cad-96x96",)
    assert stages["gan-96x96-insert-lesion"].needs == ("cad-96x96", "gan-96x96-remove-lesion")
    assert stages["generate-96x96-lesion"].makes == (workspace.root / "adversarial-lesion" / "96x96" / "index.json",)
    assert set(stages["evaluate-test"].needs) == {"generate-96x96", "generate-96x96-lesion"}


def test_each_objective_takes_its_own_settings_and_what_both_share(workspace: Workspace) -> None:
    stages = {stage.name: " ".join(stage.command) for stage in line(workspace, OBJECTIVES).stages()}
    study, lesion = stages["gan-96x96-remove"], stages["gan-96x96-remove-lesion"]
    assert "--lr-gnet=0.001" in study and "lesion" not in study.replace(str(workspace.root), "")
    assert "--lesion.epochs=3" in lesion and "--lesion.cells=24" in lesion and "--lr-gnet" not in lesion
    assert "--width=0.05" in study and "--width=0.05" in lesion


def test_a_study_of_the_studys_objective_has_the_stages_that_it_always_had(workspace: Workspace) -> None:
    names = [stage.name for stage in line(workspace, ("study",)).stages()]
    assert names == [
        "shards", "cad-96x96", "gan-96x96-remove", "gan-96x96-insert", "generate-96x96", "evaluate-test",
    ]  # fmt: skip


def test_on_a_cluster_the_bank_waits_for_its_remover_and_for_the_requested_dependency(workspace: Workspace) -> None:
    door = StudyCommand.load("train-gan")
    words = ["--workspace", str(workspace.root), "--resolution", "96x96", "--objective", "lesion"]
    assert door.jobs is not None
    remove, insert = door.jobs(parse(door.options, words))
    assert (remove.name, remove.after, insert.after) == ("gan-96x96-remove-lesion", "", remove.name)
    assert remove.pairs == 8, "the pairs that its ranks share are the objective's own"
    assert _after(insert, "17", ClusterConfig()).dependency == "afterok:17"
    assert _after(insert, "17", replace(ClusterConfig(), dependency="afterok:5")).dependency == "afterok:5,afterok:17"
    assert _after(remove, "17", ClusterConfig()) == ClusterConfig()


def test_insertion_alone_requires_a_finished_remover(workspace: Workspace) -> None:
    write_json(workspace.cad_run(SMALL) / "done.json", {"epochs": 1})
    door = StudyCommand.load("train-gan")
    words = ["--workspace", str(workspace.root), "--resolution", "96x96", "--objective", "lesion"]
    assert door.jobs is not None
    [insert] = door.jobs(parse(door.options, [*words, "--direction", "insert"]))
    assert insert.check is not None and insert.after == ""
    with pytest.raises(MissingInput, match="inserts lesions that its remover has removed"):
        insert.check()


def test_the_other_objective_is_watched_once_there_is_a_trace_of_it(workspace: Workspace) -> None:
    assert not any("lesion" in stage.name for stage in stages_of(workspace))
    workspace.of("lesion").gan_run(SMALL, Direction.REMOVE).mkdir(parents=True)
    names = [stage.name for stage in stages_of(workspace)]
    assert {"gan-96x96-remove-lesion", "gan-96x96-insert-lesion", "generate-96x96-lesion"} <= set(names)
    assert [name for name in names if name.startswith("evaluate")] == ["evaluate-test"]
