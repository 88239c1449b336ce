"""The study's line of real front doors: settings, splits, what is asked of SLURM, what is refused."""

from __future__ import annotations

import json
import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from clusters import leave_clusters, ready_workspace
from conftest import ROOT, run_script
from dicoms import write_cohort

from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.cluster.tasks import Command, TrainCad, TrainGan
from mammogan.config import CadConfig, GanConfig, to_dict
from mammogan.errors import UserError
from mammogan.study.pipeline import StudyPlan
from mammogan.study.settings import merged, read_sections, settings_for
from mammogan.study.stage import CompletingTask
from mammogan.study.stage_jobs import job_of
from mammogan.workspace import Direction, Resolution, Workspace

SMALL = Resolution(96, 96)


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def line(workspace: Workspace, where: str = "local", **options: object) -> StudyPlan:
    sections, cohort = options.pop("sections", {}), options.pop("cohort", Path("labels.csv"))
    cluster = ClusterConfig(**options)  # type: ignore[arg-type]
    return StudyPlan(workspace, (SMALL,), cohort, sections, cluster, where)  # type: ignore[arg-type]


def test_the_study_is_shards_cad_two_gans_generation_evaluation(tmp_path: Path) -> None:
    stages = line(Workspace(tmp_path)).stages()
    assert {s.name: s.needs for s in stages} == {
        "shards": (),
        "cad-96x96": ("shards",),
        "gan-96x96-remove": ("cad-96x96",),
        "gan-96x96-insert": ("cad-96x96",),
        "generate-96x96": ("gan-96x96-remove", "gan-96x96-insert"),
        "evaluate-test": ("generate-96x96",),
    }
    assert [s.command[4] for s in stages[:3]] == ["make-shards", "train-cad", "train-gan"]


def test_for_a_reader_study_validation_and_a_shard_of_training_are_made_adversarial_and_test_is_evaluated(
    tmp_path: Path,
) -> None:
    plan = replace(line(Workspace(tmp_path)), objectives=("study", "lesion"), reading=True)
    stages = {stage.name: stage for stage in plan.stages()}
    first, second = (stages[name].options.generation for name in ("generate-96x96", "generate-96x96-lesion"))
    assert (first.split, first.allow_train, first.train_shards) == (("test", "validation", "train"), True, 1)
    assert second.split == ("test",), "readers see the first objective"
    assert [name for name in stages if name.startswith("evaluate")] == ["evaluate-test"]
    assert stages["evaluate-test"].options.evaluation.split == "test"


def test_of_training_as_many_tasks_are_submitted_as_shards_are_requested(converted: Workspace) -> None:
    plan = replace(line(converted, "slurm"), reading=True)
    made = [shard for stage in plan.stages() if stage.name == "generate-96x96" for shard in stage.shards]
    trained = [name for name in made if name.startswith("train")]
    assert sorted(trained) == ["train-insert-000000.tar", "train-remove-000000.tar"] and len(made) > len(trained)


def test_settings_for_a_resolution_and_a_direction_lie_over_the_sections(tmp_path: Path) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(
        "gan:\n  pairs: 2\n  compute: {device: cpu, precision: fp32}\n  insert: {pairs: 4}\n"
        "  96x96: {width: 0.5, compute: {precision: fp64}, remove: {width: 0.25}}\n  low: {width: 3}\n"
    )
    section = read_sections(file)["gan"]
    assert settings_for(section, SMALL, Direction.INSERT) == {
        "pairs": "4", "width": "0.5", "compute": {"device": "cpu", "precision": "fp64"},
    }  # fmt: skip
    remove = settings_for(section, SMALL, Direction.REMOVE)
    assert (remove["pairs"], remove["width"]) == ("2", "0.25")
    assert merged({"a": 1, "b": {"c": 1}}, {"b": 2}) == {"a": 1, "b": 2}
    commands = {s.name: " ".join(s.command) for s in line(Workspace(tmp_path), sections={"gan": section}).stages()}
    assert "--pairs=4" in commands["gan-96x96-insert"] and "--width=0.25" in commands["gan-96x96-remove"]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("cadd: {}", "unknown section cadd; valid sections are shards, cad, gan, generate, evaluate"),
        ("cad: {pears: 4}", "cad: unknown key pears; valid keys are .*pairs"),
        ("cad: {remove: {pairs: 4}}", "cad: unknown key remove"),
        ("gan: {insert: {pairs: four}}", "gan: pairs: expected int, found 'four'"),
        ("shards: {nodes: many}", "nodes: expected int"),
        ("generate: {split: [train]}", "add --allow-train"),
        ("gan: 3", "section gan: expected 'option: value' lines"),
    ],
)
def test_a_mistake_in_study_yaml_shows_before_anything_runs(tmp_path: Path, text: str, complaint: str) -> None:
    file = tmp_path / "study.yaml"
    file.write_text(text)
    with pytest.raises(UserError, match=complaint):
        line(Workspace(tmp_path), sections=read_sections(file)).stages()


def test_without_shards_the_study_requires_the_cohort(tmp_path: Path) -> None:
    result = run_script("launch/study.py", "--workspace", tmp_path, "--resolution", "96x96", "--cluster", "local")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "no shards at 96x96" in result.stderr and "--cohort labels.csv" in result.stderr


def test_a_missing_table_is_told_with_the_path_that_was_tried_before_anything_starts(tmp_path: Path) -> None:
    words = ("--workspace", tmp_path / "work", "--resolution", "96x96", "--cluster", "local", "--cohort", "none.csv")
    result = run_script("launch/study.py", *words)
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert f"cohort table none.csv: no such file (tried {ROOT / 'none.csv'})" in result.stderr
    assert "started" not in result.stdout and not (tmp_path / "work").exists()


def test_on_slurm_trainings_are_tasks_that_can_be_requeued_and_the_rest_single_processes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    sections: dict[str, object] = {"evaluate": {"partition": "cpu", "time": "1:00:00"}}
    stages = line(workspace, "slurm", sections=sections, nodes=2, gpus_per_node=2, partition="gpu").stages()
    jobs = {s.name: job_of(s, stages, workspace) for s in stages}
    tasks = {name: job.task.task for name, (job, _) in jobs.items() if isinstance(job.task, CompletingTask)}
    cad, asked = jobs["cad-96x96"]
    assert isinstance(tasks["cad-96x96"], TrainCad) and cad.pairs == 4
    assert (asked.nodes, asked.gpus_per_node) == (2, 2)
    insert = tasks["gan-96x96-insert"]
    assert isinstance(insert, TrainGan) and insert.direction is Direction.INSERT
    for name, on_cpu in (("shards", True), ("generate-96x96", False), ("evaluate-test", False)):
        _, asked = jobs[name]
        assert isinstance(tasks[name], Command) and (asked.nodes, asked.ranks_per_node, asked.on_cpu) == (1, 1, on_cpu)
    assert (jobs["evaluate-test"][1].partition, jobs["shards"][1].partition) == ("cpu", "gpu")
    assert "--cluster=none" in " ".join(tasks["generate-96x96"].words)  # type: ignore[attr-defined]


def test_a_dry_run_for_slurm_shows_each_job_after_what_it_needs(tmp_path: Path) -> None:
    workspace = ready_workspace(tmp_path / "work")
    (workspace.cad_run(SMALL) / "done.json").unlink()
    result = run_script("launch/study.py", "--workspace", workspace.root, "--dry-run")
    assert result.returncode == 0, result.stderr
    names = re.findall(r"--job-name=mammogan-(\S+)", result.stdout)
    assert names == ["cad-96x96", "gan-96x96-remove", "gan-96x96-insert", "generate-96x96", "evaluate-test"]
    assert re.findall(r"--dependency=(\S+)", result.stdout) == [
        "afterok:JOB-cad-96x96",
        "afterok:JOB-cad-96x96",
        "afterok:JOB-gan-96x96-remove:JOB-gan-96x96-insert",
        "afterok:JOB-generate-96x96",
    ]
    assert result.stdout.count("--kill-on-invalid-dep=yes") == 4
    assert re.search(r"shards +done\n", result.stdout)


def test_where_a_stage_runs_is_not_among_its_recorded_options(tmp_path: Path) -> None:
    labels = write_cohort(tmp_path / "cohort")
    sections = {"cad": {"width": "0.5", "time": "1:00:00"}}
    here = line(Workspace(tmp_path), "local", cpu_ranks=2, sections=sections, cohort=labels).stages()
    there = line(Workspace(tmp_path), "slurm", gpus_per_node=4, sections=sections, cohort=labels).stages()
    assert [s.requested for s in here] == [s.requested for s in there]
    assert (here[1].requested["width"], here[1].requested["resolution"]) == (0.5, "96x96")
    assert not {"time", "cluster", "workspace", "cpu_ranks"} & here[1].requested.keys()


def test_a_table_with_faults_is_reported_before_anything_is_submitted(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").write_text("path,patient\n")
    words = ("--cohort", tmp_path / "labels.csv", "--workspace", tmp_path / "work", "--dry-run")
    told = run_script("launch/study.py", *words)
    assert told.returncode == 2 and "column laterality, view, label missing" in told.stderr, told.stderr


def test_files_that_decide_results_are_known_by_what_is_in_them(tmp_path: Path) -> None:
    def requests(root: Path) -> list[dict[str, object]]:
        sections = {
            "cad": {"vgg-weights": f"{root}/vgg.pth"},
            "generate": {"direction": "remove", "checkpoint": f"{root}/gnet.pt", "config": f"{root}/generate.yaml"},
        }
        plan = line(Workspace(tmp_path / "work"), sections=sections, cohort=root / "labels.csv")
        return [s.requested for s in plan.stages()]

    first, moved = tmp_path / "first", tmp_path / "moved"
    for root in (first, moved):
        root.mkdir()
        for name in ("vgg.pth", "gnet.pt"):
            (root / name).write_text(name)
        (root / "generate.yaml").write_text("batch: 2\n")
        (root / "labels.csv").write_text("path,label\nx,positive\n")
    before = requests(first)
    assert requests(moved) == before and not any(str(tmp_path) in str(found) for found in before)
    changes = {"labels.csv": [0], "vgg.pth": [1], "gnet.pt": [4], "generate.yaml": [4]}
    for name, expected in changes.items():
        content = (moved / name).read_text()
        (moved / name).write_text(content.replace("2", "3") if name.endswith("yaml") else content + "x")
        now = requests(moved)
        assert [n for n, (one, other) in enumerate(zip(before, now, strict=True)) if one != other] == expected
        (moved / name).write_text(content)


def test_without_a_table_existing_shards_are_used_whatever_they_were_made_with(tmp_path: Path) -> None:
    assert line(ready_workspace(tmp_path / "work"), cohort=None).stages()[0].outdated is None


@pytest.mark.parametrize(
    ("sections", "evaluations"),
    [
        ({}, {"evaluate-test": "report/done.json"}),
        ({"generate": {"split": "validation"}}, {"evaluate-validation": "report/validation/done.json"}),
        (
            {"generate": {"split": ["validation", "test"]}},
            {"evaluate-validation": "report/validation/done.json", "evaluate-test": "report/done.json"},
        ),
        (
            {"generate": {"split": ["validation", "test"]}, "evaluate": {"split": "test"}},
            {"evaluate-test": "report/done.json"},
        ),
    ],
)
def test_the_splits_that_are_generated_are_evaluated(
    tmp_path: Path, sections: dict[str, object], evaluations: dict[str, str]
) -> None:
    stages = [s for s in line(Workspace(tmp_path), sections=sections).stages() if s.name.startswith("evaluate")]
    assert {s.name: str(s.makes[0].relative_to(tmp_path)) for s in stages} == evaluations
    for s in stages:
        split = "validation" if "validation" in evaluations[s.name] else "test"
        assert f"--split={split}" in s.command


def test_a_split_that_is_not_generated_cannot_be_evaluated(tmp_path: Path) -> None:
    sections = {"evaluate": {"split": "validation"}}
    refused = "evaluate: split validation: this study makes adversarial mammograms of test only; name one of these"
    with pytest.raises(UserError, match=refused):
        line(Workspace(tmp_path), sections=sections).stages()


def trained_by_hand(root: Path, **settings: object) -> Workspace:
    """A workspace with a finished CAD, trained with these settings, and the study's YAML asking for the same."""
    workspace = ready_workspace(root)
    config = to_dict(replace(CadConfig(), resolution="96x96", vgg_weights="none", fnet_epochs=0, **settings))  # type: ignore[arg-type]
    (workspace.cad_run(SMALL) / "config.yaml").write_text(yaml.safe_dump({"config": json.loads(json.dumps(config))}))
    return workspace


def study(workspace: Workspace, section: str, *words: str | Path) -> subprocess.CompletedProcess[str]:
    """The study of a workspace whose YAML has this section of the CAD."""
    file = workspace.root / "study.yaml"
    file.write_text(f"cad: {{vgg-weights: none, {section}}}\n")
    return run_script("launch/study.py", "--workspace", workspace.root, "--config", file, *words)


def test_other_settings_than_a_training_has_are_refused_before_anything_runs(tmp_path: Path) -> None:
    workspace = trained_by_hand(tmp_path / "work", width=0.5)
    for words in (["--dry-run"], ["--cluster", "local"]):
        refused = study(workspace, "width: 0.25", *words)
        assert refused.returncode == 2 and "Traceback" not in refused.stderr
        assert "cad-96x96 was started with other settings or inputs: width was 0.5, now 0.25" in refused.stderr
    longer = study(workspace, "width: 0.5, epochs: 120", "--dry-run")
    assert longer.returncode == 0 and "--job-name=mammogan-cad-96x96" in longer.stdout, longer.stderr
    why = "requested with other options: --epochs 120 in place of 100"
    assert re.search(rf"cad-96x96 +to run: {why}", longer.stdout), longer.stdout


def test_a_manual_training_with_the_studys_settings_counts_as_done(tmp_path: Path) -> None:
    planned = study(trained_by_hand(tmp_path / "work", width=0.5, epochs=3), "width: 0.5, epochs: 3", "--dry-run")
    assert planned.returncode == 0 and re.search(r"cad-96x96 +done", planned.stdout), planned.stderr


def test_a_cad_is_not_trained_further_while_gans_trained_against_it_exist(tmp_path: Path) -> None:
    workspace = trained_by_hand(tmp_path / "work", width=0.5, epochs=3)
    gan = workspace.gan_run(SMALL, Direction.REMOVE)
    gan.mkdir(parents=True)
    config = to_dict(GanConfig(resolution="96x96"))
    (gan / "config.yaml").write_text(yaml.safe_dump({"config": json.loads(json.dumps(config))}))
    refused = study(workspace, "width: 0.5, epochs: 4", "--cluster", "local")
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "cad-96x96 would be trained for 4 epochs" in refused.stderr
    assert f"give another --workspace, or remove first:\n  {gan}" in refused.stderr
    assert (workspace.cad_run(SMALL) / "done.json").is_file() and not (workspace.root / "study").exists()
    assert study(workspace, "width: 0.5, epochs: 3", "--dry-run").returncode == 0
    (gan / "config.yaml").unlink()
    assert study(workspace, "width: 0.5, epochs: 4", "--dry-run").returncode == 0


def test_a_workspace_that_cannot_be_written_is_reported_at_the_start(tmp_path: Path) -> None:
    (tmp_path / "labels.csv").touch()
    words = ("--cohort", tmp_path / "labels.csv", "--resolution", "96x96", "--cluster", "local")
    refused = run_script("launch/study.py", "--workspace", tmp_path / "labels.csv", *words)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "cannot be written (Not a directory)" in refused.stderr and "started" not in refused.stdout


def test_a_folder_in_the_place_of_the_cohort_is_reported_at_the_start(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="expected a CSV file, found a folder"):
        line(Workspace(tmp_path / "work"), cohort=tmp_path).stages()


def test_with_a_cad_of_ones_own_no_cad_is_trained_and_its_unknown_origin_is_asked_for_at_once(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    named = {"origin-unknown": ["my_parts:cad"]}
    sections: dict[str, object] = {"generate": named, "evaluate": named}
    plan = replace(line(workspace, sections=sections), cad="my_parts:cad", objectives=("study", "lesion"))
    stages = {stage.name: stage for stage in plan.stages()}
    assert "cad-96x96" not in stages and stages["gan-96x96-remove"].needs == ("shards",)
    assert stages["gan-96x96-insert-lesion"].needs == ("shards", "gan-96x96-remove-lesion")
    told = {name for name, stage in stages.items() if "--cad=my_parts:cad" in stage.command}
    assert told == set(stages) - {"shards", "generate-96x96"}
    asked = r"  evaluate: \{origin-unknown: \[my_parts:cad\]\}"
    with pytest.raises(UserError, match=rf"unknown origin.*(?s:.*)--config:\n{asked}"):
        replace(line(workspace), cad="my_parts:cad").stages()
    with pytest.raises(UserError, match=rf"--config:\n{asked.replace('evaluate', 'generate')}\n{asked}"):
        replace(line(workspace), cad="my_parts:cad", objectives=("lesion",)).stages()
