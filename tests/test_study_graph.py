"""The study as a graph: order, what is skipped, failures, stages side by side; and the line of real front doors."""

from __future__ import annotations

import json
import os
import pickle
import re
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from clusters import leave_clusters, ready_workspace, wait_for
from conftest import ROOT, front_door

from mammogan.cluster.line import Line, job_of, merged, read_sections, settings_for
from mammogan.cluster.profile import ClusterConfig
from mammogan.cluster.study import Recorded, Stage, done_before, plan_state, run, tree
from mammogan.cluster.tasks import Command, TrainCad, TrainGan
from mammogan.config import CadConfig, Direction, Resolution, UserError, Workspace, to_dict

SMALL = Resolution(96, 96)


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def stage(folder: Path, name: str, *needs: str, script: str = "", asks: str = "") -> Stage:
    """A stage that notes that it ran and makes a file of its name, after ``script``."""
    script = f"echo {name} >> {folder}/ran; {script or ':'} && touch {folder}/{name}"
    return Stage(name, ("/bin/sh", "-c", script), needs, (folder / name,), tuple(asks.split()))


def ran(folder: Path) -> list[str]:
    return (folder / "ran").read_text().split() if (folder / "ran").exists() else []


def diamond(folder: Path, **scripts: str) -> list[Stage]:
    """a, then b and c, then d."""
    needs = {"a": (), "b": ("a",), "c": ("a",), "d": ("b", "c")}
    return [stage(folder, name, *before, script=scripts.get(name, "")) for name, before in needs.items()]


def test_stages_run_in_order_and_not_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stages = diamond(tmp_path)
    assert run(stages, 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "c", "d"]
    capsys.readouterr()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "c", "d"]
    assert capsys.readouterr().out.split("\n")[:-1] == [f"{name}: done before" for name in "abcd"]


def test_only_what_is_missing_runs(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    (tmp_path / "c").touch()
    assert run(stages, 2, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["b", "d"]


def test_a_failure_stops_what_depends_on_it_names_its_log_and_the_rerun_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = diamond(tmp_path, b="{ echo the reason; exit 7; }")
    assert run(broken, 1, tmp_path / "logs") == 1
    assert ran(tmp_path) == ["a", "b"]
    told = capsys.readouterr().err
    assert re.search(rf"b failed with exit code 7 after .*; its log: {tmp_path}/logs/b.log", told)
    assert "not done: b, c, d" in told
    assert (tmp_path / "logs" / "b.log").read_text() == "the reason\n"
    assert run(diamond(tmp_path), 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == ["a", "b", "b", "c", "d"]


def test_what_runs_beside_a_failing_stage_may_end_but_nothing_new_starts(tmp_path: Path) -> None:
    meet = f"while [ ! -e {tmp_path}/failing ]; do sleep 0.02; done; sleep 0.3"
    stages = diamond(tmp_path, b=f"{{ touch {tmp_path}/failing; exit 1; }}", c=meet)
    assert run([*stages, stage(tmp_path, "e", "c")], 2, tmp_path / "logs") == 1
    assert (tmp_path / "c").exists() and ran(tmp_path) == ["a", "b", "c"]


def meeting(folder: Path, other: str) -> str:
    """Shell words that fail unless the ``other`` stage starts within some seconds of this one."""
    seen = f"[ $(grep -c {other} {folder}/ran) = 1 ]"
    return f"for i in $(seq 200); do {seen} && break; sleep 0.02; done; {seen}"


def test_independent_stages_overlap_and_share_the_cores(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)))
    threads = "echo threads $OMP_NUM_THREADS."
    stages = diamond(
        tmp_path, b=f"{threads}; {meeting(tmp_path, 'c')}", c=f"{threads}; {meeting(tmp_path, 'b')}", d=threads
    )
    assert run(stages, 2, tmp_path / "logs") == 0
    told = capsys.readouterr().out.splitlines()
    assert {"b | threads 3.", "c | threads 3.", "d | threads ."} <= set(told)


def test_no_more_stages_than_asked_run_side_by_side(tmp_path: Path) -> None:
    alone = f"mkdir {tmp_path}/lock && sleep 0.1 && rmdir {tmp_path}/lock"
    assert run([stage(tmp_path, name, script=alone) for name in "abcd"], 1, tmp_path / "logs") == 0


def test_a_stage_that_leaves_nothing_behind_has_failed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([Stage("a", ("true",), makes=(tmp_path / "a",))], 1, tmp_path / "logs") == 1
    assert f"a ended without making {tmp_path}/a" in capsys.readouterr().err


def test_an_exit_code_that_is_fine_lets_the_line_go_on(tmp_path: Path) -> None:
    words = ("/bin/sh", "-c", f"touch {tmp_path}/a; exit 3")
    stages = [Stage("a", words, makes=(tmp_path / "a",), fine=(0, 3)), stage(tmp_path, "b", "a")]
    assert run(stages, 1, tmp_path / "logs") == 0
    with pytest.raises(subprocess.CalledProcessError):
        Command(words)()
    Command(words, fine=(0, 3))()


def test_a_stage_is_not_done_while_its_input_is_newer_or_missing(tmp_path: Path) -> None:
    stages, logs = [stage(tmp_path, "a"), stage(tmp_path, "b", "a"), stage(tmp_path, "c", "b")], tmp_path / "logs"
    assert run(stages, 1, logs) == 0
    os.utime(tmp_path / "b", (2**31, 2**31))
    assert done_before(stages, logs) == {"a", "b"}
    (tmp_path / "b").unlink()
    assert done_before(stages, logs) == {"a"}


def test_a_stage_that_finds_all_up_to_date_is_done_afterwards(tmp_path: Path) -> None:
    looks = Stage("looks", ("/bin/sh", "-c", f"[ -e {tmp_path}/looks ]"), ("a",), (tmp_path / "looks",))
    stages = [stage(tmp_path, "a"), looks]
    (tmp_path / "looks").touch()
    assert run(stages, 1, tmp_path / "logs") == 0
    assert done_before(stages, tmp_path / "logs") == {"a", "looks"}


def test_a_stage_that_is_asked_for_otherwise_runs_again_and_what_it_makes_is_taken_up(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    assert run([stage(tmp_path, "a", asks="--epochs 3"), stage(tmp_path, "b", "a")], 1, logs) == 0
    assert (logs / "a.command").read_text() == "--epochs 3\n"
    changed = [stage(tmp_path, "a", asks="--epochs 5", script="sleep 0.05"), stage(tmp_path, "b", "a")]
    assert done_before(changed, logs) == set()
    assert plan_state(changed[0], set(), logs) == "to run, asked for otherwise than before"
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]
    assert run(changed, 1, logs) == 0
    assert ran(tmp_path) == ["a", "b", "a", "b"]


def test_what_was_made_by_hand_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a").touch()
    assert run([stage(tmp_path, "a", asks="--epochs 3")], 1, tmp_path / "logs") == 0
    assert ran(tmp_path) == [] and not (tmp_path / "logs" / "a.command").exists()


def test_a_stage_that_refuses_its_new_settings_is_heard_and_the_old_ones_still_count_as_done(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, logs = [stage(tmp_path, "a", asks="--width 1")], tmp_path / "logs"
    assert run(before, 1, logs) == 0
    refuses = stage(tmp_path, "a", asks="--width 2", script="{ echo error: width was 1, now 2 >&2; exit 2; }")
    assert run([refuses, stage(tmp_path, "b", "a")], 1, logs) == 1
    told = capsys.readouterr()
    assert "error: width was 1, now 2" in told.out and "a failed with exit code 2" in told.err
    assert not (tmp_path / "b").exists()
    assert done_before(before, logs) == {"a"}


def test_a_stage_on_a_cluster_leaves_the_same_record(tmp_path: Path) -> None:
    first, second = stage(tmp_path, "a"), stage(tmp_path, "b", "a", asks="--epochs 3")
    for made in (tmp_path / "b", tmp_path / "a"):
        made.touch()
        os.utime(made, (made.name == "a", made.name == "a"))  # b is older than what it is made from
    task = pickle.loads(pickle.dumps(Recorded(Command(("true",)), second, first.makes, tmp_path / "study")))
    task()
    assert done_before([first, second], tmp_path / "study") == {"a", "b"}
    assert (tmp_path / "study" / "b.command").read_text() == "--epochs 3\n"
    (tmp_path / "b").unlink()
    with pytest.raises(UserError, match="b ended without making"):
        task()
    assert task.checkpoint().function is task


def test_the_plan_is_a_tree_with_states(tmp_path: Path) -> None:
    stages = diamond(tmp_path)
    (tmp_path / "a").touch()
    done = done_before(stages, tmp_path)
    assert tree(stages, lambda s: plan_state(s, done, tmp_path)).splitlines() == [
        "a      done",
        "  b    to run",
        "  c    to run",
        "    d  waits for b, c",
    ]


def test_a_stopped_study_stops_its_stages(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from mammogan.cluster.study import Stage, run; f = Path(sys.argv[1]);"
        "run([Stage(n, ('/bin/sh', '-c', f'echo $$ > {f}/{n}; exec sleep 60')) for n in 'ab'], 2, f)"
    )
    study = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    written = [tmp_path / "a", tmp_path / "b"]
    wait_for(lambda: all(file.exists() and file.read_text() for file in written))
    study.send_signal(signal.SIGTERM)
    assert study.wait(timeout=20) == 143
    for file in written:
        with pytest.raises(ProcessLookupError):
            os.kill(int(file.read_text()), 0)


# The line of real front doors.


def line(workspace: Workspace, where: str = "local", **options: object) -> Line:
    sections, cohort = options.pop("sections", {}), options.pop("cohort", Path("labels.csv"))
    cluster = ClusterConfig(**options)  # type: ignore[arg-type]
    return Line(ROOT, workspace, (SMALL,), cohort, sections, cluster, where)  # type: ignore[arg-type]


def test_the_line_is_shards_cad_two_gans_generation_evaluation(tmp_path: Path) -> None:
    stages = line(Workspace(tmp_path)).stages()
    assert {s.name: s.needs for s in stages} == {
        "shards": (),
        "cad-96x96": ("shards",),
        "gan-96x96-remove": ("cad-96x96",),
        "gan-96x96-insert": ("cad-96x96",),
        "generate-96x96": ("gan-96x96-remove", "gan-96x96-insert"),
        "evaluate": ("generate-96x96",),
    }
    assert [Path(s.command[2]).name for s in stages[:3]] == ["make_shards.py", "train_cad.py", "train_gan.py"]


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


def test_without_shards_the_study_asks_for_the_cohort(tmp_path: Path) -> None:
    result = front_door("launch/study.py", "--workspace", tmp_path, "--resolution", "96x96", "--cluster", "local")
    assert result.returncode == 2 and "Traceback" not in result.stderr
    assert "no shards at 96x96" in result.stderr and "--cohort labels.csv" in result.stderr


def test_on_slurm_trainings_are_tasks_that_can_be_requeued_and_the_rest_single_processes(tmp_path: Path) -> None:
    workspace = Workspace(tmp_path)
    sections = {"evaluate": {"partition": "cpu", "time": "1:00:00"}}
    stages = line(workspace, "slurm", sections=sections, nodes=2, gpus_per_node=2, partition="gpu").stages()
    jobs = {s.name: job_of(s, stages, workspace) for s in stages}
    tasks = {name: job.task.task for name, (job, _) in jobs.items() if isinstance(job.task, Recorded)}
    cad, asked = jobs["cad-96x96"]
    assert isinstance(tasks["cad-96x96"], TrainCad) and cad.pairs == 4
    assert (asked.nodes, asked.gpus_per_node) == (2, 2)
    insert = tasks["gan-96x96-insert"]
    assert isinstance(insert, TrainGan) and insert.direction is Direction.INSERT
    for name, on_cpu in (("shards", True), ("generate-96x96", False), ("evaluate", True)):
        _, asked = jobs[name]
        assert isinstance(tasks[name], Command) and (asked.nodes, asked.ranks_per_node, asked.on_cpu) == (1, 1, on_cpu)
    assert (jobs["evaluate"][1].partition, jobs["shards"][1].partition) == ("cpu", "gpu")
    assert "--cluster none" in " ".join(tasks["generate-96x96"].words)  # type: ignore[attr-defined]


def test_a_dry_run_for_slurm_shows_each_job_after_what_it_needs(tmp_path: Path) -> None:
    workspace = ready_workspace(tmp_path / "work")
    (workspace.cad_run(SMALL) / "done.json").unlink()
    result = front_door("launch/study.py", "--workspace", workspace.root, "--dry-run")
    assert result.returncode == 0, result.stderr
    names = re.findall(r"--job-name=mammogan-(\S+)", result.stdout)
    assert names == ["cad-96x96", "gan-96x96-remove", "gan-96x96-insert", "generate-96x96", "evaluate"]
    assert re.findall(r"--dependency=(\S+)", result.stdout) == [
        "afterok:JOB-cad-96x96",
        "afterok:JOB-cad-96x96",
        "afterok:JOB-gan-96x96-remove:JOB-gan-96x96-insert",
        "afterok:JOB-generate-96x96",
    ]
    assert result.stdout.count("--kill-on-invalid-dep=yes") == 4
    assert re.search(r"shards +done\n", result.stdout)


def test_where_it_runs_is_no_part_of_what_a_stage_was_asked_for(tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("path,patient\n")
    sections = {"cad": {"width": "0.5", "time": "1:00:00"}}
    here = line(Workspace(tmp_path), "local", cpu_ranks=2, sections=sections, cohort=labels).stages()
    there = line(Workspace(tmp_path), "slurm", gpus_per_node=4, sections=sections, cohort=labels).stages()
    assert [s.asks for s in here] == [s.asks for s in there]
    assert here[1].asks == ("launch/train_cad.py", "--width=0.5", "--resolution", "96x96")


def test_the_table_is_known_by_what_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("path,label\nx,positive\n")
    (tmp_path / "b.csv").write_text("path,label\nx,positive\n")
    (tmp_path / "c.csv").write_text("path,label\nx,negative\n")
    first, moved, corrected = (
        line(Workspace(tmp_path), cohort=tmp_path / f"{name}.csv").stages()[0].asks for name in "abc"
    )
    assert first == moved != corrected
    assert line(ready_workspace(tmp_path / "work"), cohort=None).stages()[0].asks == ()


@pytest.mark.parametrize(
    ("sections", "evaluations"),
    [
        ({}, {"evaluate": "report/done.json"}),
        ({"generate": {"split": "validation"}}, {"evaluate": "report/validation/done.json"}),
        (
            {"generate": {"split": ["validation", "test"]}},
            {"evaluate-validation": "report/validation/done.json", "evaluate-test": "report/done.json"},
        ),
        (
            {"generate": {"split": ["validation", "test"]}, "evaluate": {"split": "test"}},
            {"evaluate": "report/done.json"},
        ),
    ],
)
def test_the_splits_that_are_altered_are_evaluated(
    tmp_path: Path, sections: dict[str, object], evaluations: dict[str, str]
) -> None:
    stages = [s for s in line(Workspace(tmp_path), sections=sections).stages() if s.name.startswith("evaluate")]
    assert {s.name: str(s.makes[0].relative_to(tmp_path)) for s in stages} == evaluations
    for s in stages:
        split = "validation" if "validation" in evaluations[s.name] else "test"
        assert " ".join(s.command).endswith(f"--split {split}")


def test_a_split_that_is_not_altered_cannot_be_evaluated(tmp_path: Path) -> None:
    sections = {"evaluate": {"split": "validation"}}
    with pytest.raises(UserError, match="evaluate: split validation: this study alters test; name one of these"):
        line(Workspace(tmp_path), sections=sections).stages()


def test_changed_settings_of_a_training_are_refused_before_it_is_submitted(tmp_path: Path) -> None:
    workspace = ready_workspace(tmp_path / "work")
    run_folder = workspace.cad_run(SMALL)
    settings = to_dict(replace(CadConfig(), resolution="96x96", vgg_weights="none", fnet_epochs=0, width=0.5))
    (run_folder / "config.yaml").write_text(yaml.safe_dump({"config": json.loads(json.dumps(settings))}))
    (workspace.root / "study").mkdir()
    (workspace.root / "study" / "cad-96x96.command").write_text("launch/train_cad.py --width=0.5\n")
    words = ["launch/study.py", "--workspace", workspace.root, "--dry-run", "--config", tmp_path / "study.yaml"]
    (tmp_path / "study.yaml").write_text("cad: {vgg-weights: none, width: 0.25}\n")
    refused = front_door(*words)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "cad-96x96 was begun with other settings or inputs: width was 0.5, now 0.25" in refused.stderr
    (tmp_path / "study.yaml").write_text("cad: {vgg-weights: none, width: 0.5, epochs: 120}\n")
    goes_on = front_door(*words)
    assert goes_on.returncode == 0 and "--job-name=mammogan-cad-96x96" in goes_on.stdout, goes_on.stderr
