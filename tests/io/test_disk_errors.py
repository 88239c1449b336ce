"""A disk that is full, read-only or another user's is met in words that say what to do."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch

from mammogan.errors import UserError
from mammogan.io.atomic import sha256, write_text
from mammogan.io.disk_errors import explained
from mammogan.io.options import guarded
from mammogan.training.run import checkpoint
from mammogan.training.run.async_save import Saver
from mammogan.training.run.checkpoint import load, save
from mammogan.training.run.run_folder import Run

STATE = {"kind": "cad", "cad": {"weight": torch.zeros(500_000)}}


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may become larger than 100 kB, which the system reports as it reports a full quota."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("read", [sha256, load])
def test_a_disk_that_fails_while_a_file_is_read_is_named_with_the_file(
    read: Callable[[Path], object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object) -> None:
        raise OSError(errno.ESTALE, os.strerror(errno.ESTALE))

    path = tmp_path / "best.pt"
    save(path, {"number": 1})
    monkeypatch.setattr("hashlib.file_digest", lost)
    monkeypatch.setattr("zipfile.ZipFile", lost)
    with pytest.raises(OSError) as met:
        read(path)
    told = explained(met.value)
    assert f": {path}. The disk, or the network to it, fails" in told and "repeat the command" in told


def test_a_checkpoint_for_which_there_is_no_space_names_path_and_space_and_loses_nothing(
    tmp_path: Path, small_disk: None
) -> None:
    run = Run(tmp_path)
    save(run.newest, {"number": 1})
    with pytest.raises(UserError, match=r"newest.pt cannot be written, .*a quota.*: it needs 0.002 GB, and .* GB"):
        save(run.newest, STATE)
    assert load(run.newest) == {"number": 1} and [p.name for p in run.newest.parent.iterdir()] == ["newest.pt"]
    saver = Saver(run)
    saver.newest(STATE)
    with pytest.raises(UserError, match=r"nothing is lost, it resumes"):
        saver.wait()


def test_a_folder_in_the_place_of_a_file_is_named_with_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "index.json").mkdir()
    with pytest.raises(OSError) as caught:
        write_text(tmp_path / "index.json", "{}")
    said = explained(caught.value)
    assert said.endswith("index.json. A file belongs there: move the folder away, and repeat the command")
    assert ".tmp" not in said


def test_a_stopped_writer_is_called_a_full_disk_only_where_there_is_no_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = "[enforce fail at inline_container.cc:659] . unexpected pos 64 vs 0"

    def fail(*_: object) -> None:
        raise RuntimeError(told)

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(UserError, match=r"its writer was stopped \(a quota.*\): it needs 0.002 GB"):
        save(tmp_path / "x.pt", STATE)
    with monkeypatch.context() as full, pytest.raises(UserError, match=r"the disk is full: it needs 0.002 GB"):
        full.setattr(checkpoint, "free_bytes", lambda _: 1000)
        save(tmp_path / "x.pt", STATE)
    told = "CUDA error"
    with pytest.raises(RuntimeError, match="CUDA error"):
        save(tmp_path / "x.pt", STATE)


def test_any_file_for_which_there_is_no_space_is_named(
    tmp_path: Path, small_disk: None, capsys: pytest.CaptureFixture[str]
) -> None:
    def work() -> None:
        write_text(tmp_path / "index.json", "x" * 200_000)

    assert guarded(work) == 2
    told = capsys.readouterr().err
    assert f"{tmp_path / 'index.json'}. " in told and "GB are left; free some space" in told
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("number", "remedy"),
    [
        (errno.EACCES, r"belongs to \w+ \(mode \d+\), and you are \w+: ask for the right"),
        (errno.EROFS, "mounted read-only: give a --workspace"),
        (errno.ENOSPC, "free some space"),
    ],
)
def test_a_refused_path_comes_with_a_remedy(tmp_path: Path, number: int, remedy: str) -> None:
    import re

    told = explained(OSError(number, os.strerror(number), str(tmp_path / "runs" / "x.json")))
    assert told.startswith(f"{os.strerror(number)}: {tmp_path}") and re.search(remedy, told)


def test_other_errors_are_reported_as_before(tmp_path: Path) -> None:
    missing = OSError(errno.ENOENT, "No such file or directory", str(tmp_path / "x"))
    assert explained(missing) == f"No such file or directory: {tmp_path / 'x'}"
    assert explained(OSError("odd")) == "odd"
