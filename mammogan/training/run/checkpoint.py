"""Checkpoints: written atomically, checked when they are read, loaded without running code from them."""

from __future__ import annotations

import os
from errno import EINVAL
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import replaced_atomically
from mammogan.io.disk_errors import FULL, free_bytes, naming_file
from mammogan.io.own_files import file_exists
from mammogan.io.temporary import temporary
from mammogan.training.run.damage import damage_of
from mammogan.training.run.exported import is_exported, read_exported
from mammogan.training.run.foreign_file import what_it_is
from mammogan.training.run.run_folder import Run


class Damaged(UserError):
    """A checkpoint that was cut or changed after it was written, or a file that never was one."""

    def __init__(self, path: Path, why: str) -> None:
        self.fault = f"{path.name} is damaged ({why})"
        super().__init__(
            f"checkpoint {path} is damaged: {why}. Bring it back from a copy, name another one, or remove the folder "
            "of its run and train again"
        )


class Foreign(Damaged):
    """A sound file of torch that is another thing than a checkpoint."""

    def __init__(self, path: Path, what: str, remedy: str) -> None:
        self.fault = f"{path.name} is no checkpoint ({what})"
        UserError.__init__(self, f"{path} is no checkpoint of MammoGAN: {what}. Name a checkpoint; or {remedy}")


def save(path: Path, state: dict[str, Any], keep: Path | None = None) -> None:
    """Write a state of tensors and plain values to a temporary file, then rename it to ``path``.

    So ``path`` is always a complete file. With ``keep``, the previous file is kept there, once all of the new one is on
    disk. Raises UserError where the disk is full; the previous file is then still there.
    """
    try:
        with replaced_atomically(path) as own:
            with open(own, "w+b") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            if keep is not None and path.exists():
                _keep(path, keep)
    except (OSError, RuntimeError) as error:
        if not _stopped_writing(error):
            raise
        needed, left = _bytes_of(state), free_bytes(path)
        full = isinstance(error, OSError) or left < needed
        why = "the disk is full" if full else "its writer was stopped (a quota, or a disk that is lost?)"
        raise UserError(
            f"checkpoint {path} cannot be written, {why}: it needs {needed / 1e9:.3f} GB, and {left / 1e9:.3f} GB are "
            f"left there. {'Free some space' if full else 'Look at the disk'}, and repeat the command: nothing is "
            "lost, it resumes from the checkpoint before"
        ) from error


def _stopped_writing(error: OSError | RuntimeError) -> bool:
    """Whether the disk stopped writing, mostly as it is full; torch's own writer says so without an error number."""
    if isinstance(error, OSError):
        return error.errno in FULL
    return "inline_container" in str(error) or "PytorchStreamWriter" in str(error)


def _bytes_of(value: Any) -> int:
    """Return the bytes of all tensors in a state: a checkpoint is little larger."""
    if isinstance(value, torch.Tensor):
        return value.nbytes
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
    return sum(_bytes_of(part) for part in parts)


def _keep(path: Path, keep: Path) -> None:
    """Make ``keep`` contain what ``path`` contains.

    Where the file system has hard links, it becomes a second name, so ``path`` never disappears; else ``path`` is
    renamed.
    """
    second = temporary(keep)
    try:
        second.unlink(missing_ok=True)
        second.hardlink_to(path)
        second.replace(keep)
    except OSError:
        path.replace(keep)
    finally:
        second.unlink(missing_ok=True)  # renaming does nothing if both already were names of one file


def load(path: Path) -> dict[str, Any]:
    """Load a saved state to the CPU, without running code from the file.

    Raises MissingInput when there is no file, Damaged when its bytes are not those that were saved, and Foreign for
    another file of torch.
    """
    if not file_exists(path):
        raise MissingInput(f"no checkpoint {path}; train first, or name another")
    if is_exported(path):
        try:
            return read_exported(path)
        except ValueError as error:
            raise Damaged(path, str(error)) from None
    with open(path, "rb") as file, naming_file(path):
        if not (why := damage_of(file)):
            _refuse_foreign(path, file)
            file.seek(0)
            try:
                state = torch.load(file, map_location="cpu", weights_only=True)
                if isinstance(state, dict):
                    return state
                why = f"it holds {type(state).__name__}, and checkpoints hold a mapping"
            except Exception as error:  # torch raises many kinds of errors for bytes that are no zip or no pickle
                if isinstance(error, MemoryError) or getattr(error, "errno", EINVAL) != EINVAL:
                    raise  # a lost disk; EINVAL is torch seeking before the first byte
                _refuse_foreign(path, file, refused=isinstance(error, UnpicklingError))
                why = f"torch cannot read it ({type(error).__name__})"
    raise Damaged(path, why)


def _refuse_foreign(path: Path, file: BinaryIO, refused: bool = False) -> None:
    what, remedy = what_it_is(file, refused)
    if what:
        raise Foreign(path, what, remedy) from None


def load_newest(run: Run) -> tuple[dict[str, Any], str]:
    """Load the newest good state of a training.

    Returns it with a message if it is not the one saved last, else with "". Raises UserError when none is good,
    MissingInput when there never was one.
    """
    if not run.has_state:
        raise MissingInput(f"no checkpoint {run.newest}; train first")
    faults: list[str] = []
    for path in (run.newest, run.previous):
        try:
            return load(path), f"{'; '.join(faults)}: resuming from {path.name}" if faults else ""
        except MissingInput:
            faults.append(f"{path.name} is not there")
        except Damaged as error:
            faults.append(error.fault)
    raise UserError(f"{run.path}: {'; '.join(faults)}. Bring one back from a copy, or remove the folder to train again")
