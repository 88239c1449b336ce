"""What stands in the place of one of our own files and is no readable file is damage, never absence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from in_place_of_a_file import IN_PLACE, ordinary_user, put_in_place

from mammogan.data.phantom.origin import cohort_folder
from mammogan.errors import UserError
from mammogan.evaluation.critics import notices_of_dead_critics
from mammogan.io.own_files import file_exists


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that an ordinary user may enter."""
    import tempfile

    with tempfile.TemporaryDirectory() as path:
        Path(path).chmod(0o777)
        yield Path(path)


def test_a_file_is_there_and_nothing_is_not(tmp_path: Path) -> None:
    (tmp_path / "done.json").write_text("{}")
    (tmp_path / "link.json").symlink_to("done.json")
    assert file_exists(tmp_path / "done.json") and file_exists(tmp_path / "link.json")
    assert not file_exists(tmp_path / "index.json") and not file_exists(tmp_path / "no/folder/index.json")


@pytest.mark.parametrize("what", IN_PLACE)
def test_what_is_no_readable_file_is_called_by_its_name(folder: Path, what: str) -> None:
    (folder / "done.json").write_text("{}")
    put_in_place(folder / "done.json", what)
    with ordinary_user(), pytest.raises(UserError, match=IN_PLACE[what]):
        file_exists(folder / "done.json")


def test_a_pipe_and_a_closed_folder_are_no_absence_either(folder: Path) -> None:
    os.mkfifo(folder / "index.json")
    (folder / "closed").mkdir()
    (folder / "closed/index.json").write_text("{}")
    (folder / "closed").chmod(0)
    with ordinary_user():
        with pytest.raises(UserError, match=r"found neither a file nor a folder\. Remove it"):
            file_exists(folder / "index.json")
        with pytest.raises(UserError, match=r"Permission denied: .*closed/index\.json\. "):
            file_exists(folder / "closed/index.json")


def test_a_phantom_whose_record_is_a_broken_link_is_not_taken_for_a_patient(folder: Path) -> None:
    (folder / "dicom").mkdir()
    (folder / "truth.json").write_text("{}")
    assert cohort_folder(folder / "dicom", "truth.json") == folder
    put_in_place(folder / "truth.json", "a link to nothing")
    with pytest.raises(UserError, match=IN_PLACE["a link to nothing"]):
        cohort_folder(folder / "dicom", "truth.json")
    (folder / "patients").mkdir(mode=0)
    (folder / "truth.json").unlink()
    with ordinary_user():
        assert cohort_folder(folder / "patients", "truth.json") is None


def test_a_log_that_a_folder_replaces_does_not_pass_for_a_training_that_never_watched_its_critic(
    tmp_path: Path,
) -> None:
    made = [{"run": "gan", "epoch": 1}]
    assert notices_of_dead_critics(tmp_path, made) == []
    (tmp_path / "gan/metrics.jsonl").mkdir(parents=True)
    with pytest.raises(UserError, match=IN_PLACE["a folder"]):
        notices_of_dead_critics(tmp_path, made)
