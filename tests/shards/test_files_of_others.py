"""What other programs leave in a workspace is never read as ours, never fatal, and named once."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

import pytest
from dicoms import write_cohort

from mammogan.cli import check_shards
from mammogan.data.conversion.convert_cohort import convert_cohort, verify
from mammogan.data.conversion.shard_settings import all_held_settings
from mammogan.data.inspect.verify_results import verify_results
from mammogan.data.phantom.cohort import claim
from mammogan.data.phantom.settings import PhantomConfig
from mammogan.data.shards.marked_folder import MarkedFolder
from mammogan.left_by_others import is_empty, is_litter, is_ours, said_of_others
from mammogan.watch.stages import stages_of
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
LITTER = (
    ".DS_Store",
    "._index.json",
    "Thumbs.db",
    "desktop.ini",
    ".nfs00000000018f01b2",
    "~$table.xlsx",
    ".~lock.a.csv#",
)
COPIES = (
    *("index (1).json", "index - Copy.json", "index \u2013 Kopie.json", "Copie de index.json", "index copy 2.json"),
    *("index (Ana's conflicted copy 2024-01-01).json", "index.sync-conflict-20240101-120000-ABCDEFG.json"),
    *("index.json~", "index.json.bak", "index-DESKTOP-A1B2C3.json"),
)
OWN = (
    *("index.json", "train-negative-000000.tar", "test-insert-000003.json", "settings.json", "wids-train.json", "salt"),
    *("1280x960", "gan-192x160-remove-lesion", "events.out.tfevents.17.0123abcd", "0a1b2c3d4e5f.dcm", "SHA256SUMS"),
)


@pytest.fixture(scope="module")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_cohort(tmp_path_factory.mktemp("cohort"), patients=12)


@pytest.fixture(scope="module")
def finished(cohort: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = Workspace(tmp_path_factory.mktemp("finished") / "work")
    convert_cohort(cohort, made, [SIZE], jobs=1, shard_images=3)
    return made


@pytest.fixture
def work(finished: Workspace, tmp_path: Path) -> Workspace:
    shutil.copytree(finished.root, tmp_path / "work")
    return Workspace(tmp_path / "work")


def littered(work: Workspace) -> None:
    """Beside every file, and in every folder, what macOS, Windows and a synchronisation program leave."""
    for path in sorted(work.root.rglob("*")):
        (path.parent / f"._{path.name}").write_bytes(b"\0\5\x16\7 AppleDouble")
        (path.parent / ".DS_Store").write_bytes(b"\0\0\0\1Bud1")
        (path.parent / "Thumbs.db").write_bytes(b"\xd0\xcf\x11\xe0")
        if path.is_file():
            shutil.copy(path, path.with_name(f"{path.stem} (1){path.suffix}"))
            path.with_name(f"{path.stem}.sync-conflict-20240101-120000-ABCDEFG{path.suffix}").write_bytes(b"{")
    shutil.copytree(work.shards(SIZE), work.root / "shards" / f"{SIZE} - Copy")
    for name in ("adversarial-lesion", "adversarial-lesion (1)"):
        (work.root / name).mkdir()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("name", LITTER)
def test_what_a_program_writes_for_itself_is_litter(name: str) -> None:
    assert is_litter(name) and not is_ours(name)


@pytest.mark.parametrize("name", COPIES)
def test_a_copy_is_no_file_of_ours_and_no_litter(name: str, tmp_path: Path) -> None:
    assert not is_ours(name) and not is_litter(name)
    for file in ("index.json", name):
        (tmp_path / file).touch()
    [said] = said_of_others(tmp_path.parent, [tmp_path.name])
    assert said.startswith(f"{tmp_path / name}: a copy of index.json that a synchronisation program")
    assert "compare" in said and "delete" in said


@pytest.mark.parametrize("name", OWN)
def test_our_own_files_are_ours(name: str) -> None:
    assert is_ours(name) and not is_litter(name)


def test_nothing_is_said_of_a_workspace_that_no_other_program_has_touched(work: Workspace) -> None:
    assert list(said_of_others(work.root, ["shards", "private"])) == []


def test_litter_and_copies_are_no_faults_and_change_no_count(work: Workspace) -> None:
    before = stages_of(work), work.resolutions(), work.attacks(), list(all_held_settings(work))
    marked = MarkedFolder(work.shards(SIZE) / ".done", None, {}, "")
    names = marked.names()
    littered(work)
    assert verify(work.shards(SIZE)) == [] and verify_results(work, SIZE) == []
    assert (stages_of(work), work.resolutions(), work.attacks(), list(all_held_settings(work))) == before
    assert marked.names() == names and names


def test_check_shards_names_copies_and_counts_litter_once(work: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    littered(work)
    assert check_shards.execute(check_shards.Options(work.root, contact=False)) == 0
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("WARNING: ")]
    assert any(f"{SIZE}/index (1).json: a copy of index.json that" in line for line in said)
    assert any(f"{SIZE} - Copy: a copy of {SIZE} that" in line for line in said)
    assert any("adversarial-lesion (1): a copy of adversarial-lesion that" in line for line in said)
    assert not any(f"{SIZE} - Copy/" in line for line in said), "a copied folder is named once"
    assert [line for line in said if "files that other programs left, such as " in line] == said[-1:]


@pytest.mark.parametrize("overwrite", [False, True])
def test_shards_are_continued_and_made_again_as_if_nothing_were_there(
    overwrite: bool, work: Workspace, cohort: Path, finished: Workspace
) -> None:
    littered(work)
    there = content(work.root)
    convert_cohort(cohort, work, [SIZE], jobs=1, shard_images=3, overwrite=overwrite)
    shards = [name for name in content(finished.shards(SIZE)) if name.endswith(".tar")]
    assert {n: (work.shards(SIZE) / n).read_bytes() for n in shards} == {
        n: (finished.shards(SIZE) / n).read_bytes() for n in shards
    }
    assert lost(there, content(work.root)) == []
    assert verify(work.shards(SIZE)) == []


def lost(before: dict[str, bytes], after: dict[str, bytes]) -> Sequence[str]:
    """Files of other programs that are gone or have changed."""
    return [name for name in before if not is_ours(Path(name).name) and after.get(name) != before[name]]


def test_a_copied_marker_of_an_unfinished_folder_begins_nothing(tmp_path: Path) -> None:
    (tmp_path / ".done").mkdir()
    (tmp_path / ".done" / "._train-negative-000000.json").touch()
    (tmp_path / ".done" / "train-negative-000000 (1).json").touch()
    marked = MarkedFolder(tmp_path / ".done", None, {}, "")
    assert not marked.is_begun and marked.names() == []
    marked.drop_others([])
    assert len(list((tmp_path / ".done").iterdir())) == 2


def test_a_new_folder_that_a_file_manager_has_looked_at_is_still_new(tmp_path: Path) -> None:
    (tmp_path / ".DS_Store").touch()
    claim(PhantomConfig(patients=10, seed=7, height=96, width=96, preset="demo"), tmp_path)
    assert (tmp_path / "settings.json").is_file()


def test_a_folder_with_nothing_but_litter_is_empty(tmp_path: Path) -> None:
    for name in LITTER:
        (tmp_path / name).touch()
    assert is_empty(tmp_path)
    (tmp_path / "my notes.txt").touch()
    assert not is_empty(tmp_path)
