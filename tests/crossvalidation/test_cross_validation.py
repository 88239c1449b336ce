"""A study over folds and seeds: divided, submitted or run, and pooled."""

from __future__ import annotations

import json
import re
from collections import Counter
from pathlib import Path

import pytest
from clusters import leave_clusters, programs, squeue_rows
from conftest import SMALL, checked, run_script
from dicoms import write_cohort

from mammogan.cli.cross_validate import Options, execute
from mammogan.cli.cross_validate import studies_of as planned_studies
from mammogan.cluster.backend import Backend
from mammogan.cluster.slurm.profile import ClusterConfig
from mammogan.crossvalidation.fold_study import study_folders
from mammogan.errors import UserError
from mammogan.io import tables
from mammogan.io.atomic import read_json, write_json
from mammogan.io.records import read_yaml_record
from mammogan.workspace import Workspace

SETTINGS = """
shards: {jobs: 1}
cad: {width: 0.05, vgg-weights: none, pairs: 2, epochs: 1, epoch-batches: 2, compute.loader-workers: 0}
gan:
  width: 0.05
  epochs: [1, 0, 0, 0, 0]
  epoch-batches: 1
  allow-weak-cad: true
  compute.loader-workers: 0
evaluate: {bootstrap: 100, controls: false, examples: 1}
"""


@pytest.fixture(autouse=True)
def outside_any_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    leave_clusters(monkeypatch)


def words(phantom: Path, folder: Path, *more: str) -> list[str]:
    settings = folder / "study.yaml"
    settings.write_text(SETTINGS)
    fixed = ["launch/cross_validate.py", "--cohort", phantom / "labels.csv", "--workspace", folder / "cv"]
    return [*map(str, fixed), "--folds", "2", "--resolution", "96x96", "--config", str(settings), *more]


@pytest.fixture(scope="module")
def validated(phantom: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path, str]:
    """The command of two folds and one seed, its folder, and what it printed."""
    folder = tmp_path_factory.mktemp("folds")
    command = words(phantom, folder, "--seeds", "3", "--cluster", "none", "--parallel", "2")
    return command, folder / "cv", checked(*command)


def test_every_patient_is_tested_in_one_fold_with_all_her_images(validated: tuple[list[str], Path, str]) -> None:
    tested, images = Counter[str](), Counter[str]()
    for root in study_folders(validated[1]):
        rows = tables.read_own_csv(Workspace(root).cohort)
        assert (root / "cohort.csv").stat().st_mode & 0o777 == 0o600
        assert len({(row["patient"], row["split"]) for row in rows}) == len({row["patient"] for row in rows})
        tested.update(row["path"] for row in rows if row["split"] == "test")
        images.update(row["path"] for row in rows)
    assert set(tested.values()) == {1} and tested.keys() == images.keys()


def test_the_pooled_table_is_that_of_both_folds_and_the_trainings_have_the_seed(
    validated: tuple[list[str], Path, str],
) -> None:
    _, root, told = validated
    assert "fold 1 of 2, seed 1 of 1" in told and "fold 2 of 2, seed 1 of 1" in told
    pooled = read_json(root / "pooled" / "pooled.json")
    [only] = pooled["columns"][0]["seeds"]
    shares = [fold["negatives_right"] for fold in only["folds"]]
    assert (pooled["folds"], pooled["seeds"], len(shares)) == (2, ["3"], 2)
    for part in ("numerator", "denominator"):
        assert only["pooled"]["negatives_right"][part] == sum(share[part] for share in shares)
    runs = [run for folder in study_folders(root) for run in folder.glob("runs/*/config.yaml")]
    assert len(runs) == 6 and {read_yaml_record(run)["config"]["seed"] for run in runs} == {3}


def test_the_same_command_finds_all_done_and_watch_shows_a_line_for_each_study(
    validated: tuple[list[str], Path, str],
) -> None:
    command, root, _ = validated
    before = {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}
    assert checked(*command).count("done before") == 13
    assert {path: path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()} == before
    shown = checked("launch/watch.py", "--workspace", root)
    assert "2 of 2 studies done, pooled in" in shown
    assert re.findall(r"^(fold-\d-seed-3) +6 of 6 done$", shown, re.MULTILINE) == ["fold-1-seed-3", "fold-2-seed-3"]
    document = json.loads(checked("launch/watch.py", "--workspace", root, "--json"))
    assert [study["workspace"] for study in document["studies"]] == [str(path) for path in study_folders(root)]


def test_another_seed_shares_the_shards_and_only_its_trainings_are_to_do(
    validated: tuple[list[str], Path, str],
) -> None:
    command, root, _ = validated
    shown = checked(*command[: command.index("--seeds")], "--seeds", "3", "4", "--cluster", "none", "--dry-run")
    lines = [line.partition(" -m mammogan ")[2] for line in shown.splitlines() if not line.startswith("#")]
    assert [line.split()[0] for line in lines] == [
        *2 * ["train-cad", "train-gan", "train-gan", "generate", "evaluate"], "pool-folds",
    ]  # fmt: skip
    assert all(f"{root}/fold-{1 + n // 5}-seed-4" in line for n, line in enumerate(lines[:-1]))
    assert all(f"fold-{fold}-seed-{seed} " in lines[-1] for fold in (1, 2) for seed in (3, 4))
    assert all("--seed=4" in line for line in lines if line.startswith("train"))


def test_shards_of_another_fold_are_refused_in_a_sentence(validated: tuple[list[str], Path, str]) -> None:
    command, root, _ = validated
    cohort, fold = command[command.index("--cohort") + 1], root / "fold-2"
    common = ("--cohort", cohort, "--workspace", fold, "--resolution", "96x96")
    asked = "the shards are of fold 2 of 2, seed 0, and shards of fold 1 of 2, seed 0 are requested"
    for more in (("launch/study.py", "--cluster", "none"), ("shards/make_shards.py",)):
        told = run_script(more[0], *common, "--fold", "1/2", *more[1:])
        assert told.returncode == 2 and f"{fold}: {asked}" in told.stderr and "Traceback" not in told.stderr
        assert "give another --workspace, or for this one --fold 2/2 --fold-seed 0" in told.stderr
    told = run_script("shards/make_shards.py", *common)
    assert told.returncode == 2 and "and shards of no fold are requested" in told.stderr
    told = run_script(*command[: command.index("--folds")], "--folds", "3", "--cluster", "none")
    assert told.returncode == 2 and "and shards of fold 1 of 3, seed 0 are requested" in told.stderr


def test_a_table_that_was_changed_is_recognised(validated: tuple[list[str], Path, str], tmp_path: Path) -> None:
    command, root, _ = validated
    table = Path(command[command.index("--cohort") + 1])
    rows = tables.read_own_csv(table)
    changed = tmp_path / "labels.csv"
    whole = [row | {"path": str((table.parent / row["path"]).absolute())} for row in rows]
    tables.write(changed, [*rows[0]], [list(row.values()) for row in whole[:-1]])
    common = ("--workspace", root / "fold-2", "--resolution", "96x96", "--fold", "2/2", "--cluster", "none")
    assert re.search(r"shards +done", checked("launch/study.py", "--cohort", table, *common, "--dry-run"))
    shown = checked("launch/study.py", "--cohort", changed, *common, "--dry-run")
    assert re.search(r"shards +to run: the table is another: in the table .*1 row gone", shown)


def options(folder: Path, **more: object) -> Options:
    labels = folder / "labels.csv"
    cohort = labels if labels.exists() else write_cohort(folder, 12)
    cluster = ClusterConfig(cluster="slurm", cpu_ranks=1)
    fixed = {"cohort": cohort, "workspace": folder / "cv", "folds": 2, "resolution": ("96x96",), "cluster": cluster}
    return Options(**(fixed | more))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("more", "fault"),
    [
        ({"folds": 1}, "--folds 1: expected 2 to 20"),
        ({"folds": 4}, "4 folds need at least 8 positive and 8 negative patients, found 6 positive and 6 negative: "),
        ({"seeds": (1, 1)}, "--seeds 1 1: expected one or more different numbers"),
        ({"seeds": ()}, "--seeds none: expected one or more"),
    ],
)
def test_folds_and_seeds_that_cannot_be_are_refused_before_anything_is_written(
    tmp_path: Path, more: dict[str, object], fault: str
) -> None:
    with pytest.raises(UserError, match=fault):
        execute(options(tmp_path, cluster=ClusterConfig(cluster="local"), **more))
    assert not (tmp_path / "cv").exists()


@pytest.mark.parametrize(
    "text", ["gan: {insert: {seed: 3}}", "shards: {fold: 1/2}", "shards: {fold-seed: 1}", "cad: {seed: 1}"]
)
def test_a_settings_file_that_decides_folds_or_seeds_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "study.yaml").write_text(text)
    with pytest.raises(UserError, match="since --folds, --fold-seed and --seeds decide it for every study"):
        planned_studies(options(tmp_path, config=tmp_path / "study.yaml"), Backend("slurm", ""))


class Cluster:
    """Its sbatch numbers jobs from 1 on; its squeue shows all of them as waiting."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder = folder
        count = f"/bin/echo x >> {folder}/ids; echo Submitted batch job $(/usr/bin/wc -l < {folder}/ids)"
        sbatch = f'[ "$1" = --version ] || {{ {count}; }}'
        (folder / "row").write_text(squeue_rows("NUMBER PENDING Priority 0 mammogan-x (null)"))
        numbers = f"$(/usr/bin/seq $(/usr/bin/wc -l < {folder}/ids))"
        padded = '"s/NUMBER/$(printf %-6s $number)/"'  # the columns keep their widths
        squeue = f"for number in {numbers}; do /bin/sed {padded} {folder}/row; done"
        programs(folder / "bin", monkeypatch, srun="exit 0", sbatch=sbatch, sinfo="exit 0", squeue=squeue)

    def jobs(self) -> dict[int, tuple[str, str]]:
        """Name and dependency of each job by its number."""
        found = {}
        for path in self.folder.rglob("*_submission.sh"):
            if not path.is_symlink() and (number := path.name.partition("_")[0]).isdigit():
                text = path.read_text()
                [name] = re.findall("--job-name=mammogan-(.*)", text)
                found[int(number)] = name, "".join(re.findall("--dependency=(.*)", text))
        return dict(sorted(found.items()))


@pytest.fixture
def cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cluster:
    return Cluster(tmp_path, monkeypatch)


def test_on_slurm_all_studies_are_submitted_and_the_pooling_waits_for_all_evaluations(
    cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert execute(options(tmp_path, folds=2, seeds=(0,))) == 0
    jobs = cluster.jobs()
    by_name = {name: (number, after) for number, (name, after) in jobs.items()}
    for fold in (1, 2):
        shards, _ = by_name[f"fold-{fold}-shards"]
        cad, after = by_name[f"fold-{fold}-seed-0-cad-96x96"]
        assert after == f"afterok:{shards}"
        assert by_name[f"fold-{fold}-seed-0-gan-96x96-remove"][1] == f"afterok:{cad}"
    last = [number for name, (number, _) in by_name.items() if name.startswith("fold") and "evaluate-test" in name]
    finals = [max(number for number in last if f"fold-{fold}-" in jobs[number][0]) for fold in (1, 2)]
    assert by_name["pool"][1] == f"afterok:{finals[0]}:{finals[1]}"
    told = capsys.readouterr().out
    assert "fold 1 of 2, seed 1 of 1" in told and re.search(rf"^pool +job {by_name['pool'][0]}$", told, re.MULTILINE)


def test_a_second_seed_waits_for_the_shards_that_were_submitted_for_the_first(cluster: Cluster, tmp_path: Path) -> None:
    assert execute(options(tmp_path, seeds=(0, 1))) == 0
    by_name = {name: (number, after) for number, (name, after) in cluster.jobs().items()}
    assert len([name for name in by_name if name.endswith("shards")]) == 2
    for fold in (1, 2):
        shards, _ = by_name[f"fold-{fold}-shards"]
        assert [by_name[f"fold-{fold}-seed-{seed}-cad-96x96"][1] for seed in (0, 1)] == 2 * [f"afterok:{shards}"]
    before = len(cluster.jobs())
    assert execute(options(tmp_path, seeds=(0, 1))) == 0
    assert len(cluster.jobs()) == before, "what is queued is left alone"
    with pytest.raises(UserError, match=r"\(pool\) is queued or running and was requested with other options"):
        execute(options(tmp_path, seeds=(0,)))


def test_a_dry_run_shows_every_job_once_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cluster = ClusterConfig(cluster="slurm", cpu_ranks=1, dry_run=True)
    assert execute(options(tmp_path, seeds=(0, 1), cluster=cluster)) == 0
    assert not (tmp_path / "cv").exists()
    shown = capsys.readouterr().out
    names = re.findall("--job-name=mammogan-(.*)", shown)
    assert len(names) == len(set(names)) and names.count("fold-1-shards") == 1
    waited_for = {job for text in re.findall("--dependency=afterok:(.*)", shown) for job in text.split(":")}
    assert {job.removeprefix("JOB-") for job in waited_for} <= set(names)
    assert re.search("--dependency=afterok:(.*)\n(?:#SBATCH .*\n)*?#SBATCH --job-name=mammogan-pool", shown)
    assert all(f"JOB-fold-{fold}-seed-{seed}-evaluate-test" in waited_for for fold in (1, 2) for seed in (0, 1))


def test_a_folder_in_the_place_of_shared_shards_is_refused(tmp_path: Path) -> None:
    [study, _] = planned_studies(options(tmp_path), Backend("local", ""))
    write_json(study.workspace.shards(SMALL) / "index.json", {})
    with pytest.raises(UserError, match="all seeds of a fold share its shards"):
        study.link_shards()
