"""The salt and the lock: no link is followed, nothing is emptied, and a secret is one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from dicoms import write_cohort

from mammogan.data.cohort.pseudonyms import load_salt
from mammogan.data.conversion.convert_cohort import convert_cohort
from mammogan.errors import UserError
from mammogan.workspace import Resolution, Workspace

SIZE = Resolution(96, 96)
SECRET = "0123456789abcdef" * 4


@pytest.fixture
def salt(tmp_path: Path) -> Path:
    (tmp_path / "private").mkdir(mode=0o700)
    path = tmp_path / "private" / "salt"
    path.touch(0o600)
    path.write_text(SECRET)
    return path


def test_a_salt_that_is_made_is_private_and_is_read_again(tmp_path: Path) -> None:
    made = load_salt(tmp_path / "new" / "salt")
    assert load_salt(tmp_path / "new" / "salt") == made and len(made) == 64
    assert (tmp_path / "new" / "salt").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o666])
def test_a_salt_that_others_may_read_or_change_is_refused(salt: Path, mode: int) -> None:
    salt.chmod(mode)
    with pytest.raises(UserError, match=rf"others may read or change it \(mode {mode:o}\).*chmod 600"):
        load_salt(salt)
    salt.chmod(0o600)
    assert load_salt(salt) == SECRET.encode()


@pytest.mark.parametrize("weak", ["a" * 64, "ab" * 32, "0" * 16, "abcde" * 10])
def test_a_salt_that_can_be_guessed_is_refused(salt: Path, weak: str) -> None:
    salt.write_text(weak)
    with pytest.raises(UserError, match="can be guessed"):
        load_salt(salt)


@pytest.mark.parametrize("left", [16, 20, 63])
def test_a_salt_that_was_cut_is_refused_and_a_short_one_of_ones_own_is_not(salt: Path, left: int) -> None:
    salt.write_text(SECRET[:left])
    with pytest.raises(UserError, match=rf"expected 64 hexadecimal digits, found {left} and .*: it was cut\. Bring"):
        load_salt(salt)
    for own in (f"{SECRET[:16]}\n", "my own secret, with no end of the line", SECRET):
        salt.write_text(own)
        assert load_salt(salt) == own.strip().encode()


def test_a_salt_behind_a_link_is_refused_and_none_is_written_through_it(salt: Path, tmp_path: Path) -> None:
    link = tmp_path / "private" / "link"
    for target in (salt, tmp_path / "not there"):
        link.symlink_to(target)
        with pytest.raises(UserError, match=r"link is a symbolic link"):
            load_salt(link)
        link.unlink()
    assert not (tmp_path / "not there").exists()


def test_a_pipe_in_the_place_of_the_salt_is_refused_at_once(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "salt", 0o600)
    with pytest.raises(UserError, match="no regular file"):
        load_salt(tmp_path / "salt")


def test_a_planted_lock_empties_no_file_and_a_private_folder_for_everybody_is_refused(tmp_path: Path) -> None:
    table, work = write_cohort(tmp_path / "cohort", patients=12), Workspace(tmp_path / "work")
    precious = tmp_path / "precious.txt"
    precious.write_text("years of work")
    private = work.root / "private"
    private.mkdir(parents=True, mode=0o700)
    (private / "lock").symlink_to(precious)
    with pytest.raises(UserError, match=r"lock is a symbolic link"):
        convert_cohort(table, work, [SIZE], jobs=1)
    (private / "lock").unlink()
    (private / "lock").write_text("kept")
    private.chmod(0o777)
    with pytest.raises(UserError, match=r"others may write into it \(mode 777\).*chmod 700"):
        convert_cohort(table, work, [SIZE], jobs=1)
    private.rename(tmp_path / "elsewhere")
    private.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=r"private is a symbolic link"):
        convert_cohort(table, work, [SIZE], jobs=1)
    assert precious.read_text() == "years of work"
    assert not list(work.root.rglob("*.tar")) and (tmp_path / "elsewhere" / "lock").read_text() == "kept"
