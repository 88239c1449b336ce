"""Which classifier is meant: the one grammar of --cad and --victim. Nothing is loaded, so this imports nothing heavy.

A classifier is a run folder, a folder of mammogan export-model, a checkpoint such as best.pt, or MODULE:FACTORY, a
function of one's own that returns it.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import Digest, sha256
from mammogan.io.own_files import file_exists
from mammogan.training.run.checkpoint_files import choose_checkpoint, run_of, trained_on
from mammogan.training.run.run_folder import Run
from mammogan.workspace import Resolution, Workspace

GRAMMAR = "expected a run folder, a folder of mammogan export-model, a checkpoint such as best.pt, or MODULE:FACTORY"
FOR_VICTIMS = (".pt2", ".onnx")
"""Files that mammogan evaluate-deeper asks, whose gradients or batches the other commands cannot rely on."""


@dataclass(frozen=True)
class CadSource:
    """Where a classifier comes from; small enough to be pickled for a cluster job."""

    path: Path
    """Its checkpoint; meaningless for a factory."""
    factory: str = ""
    """MODULE:FACTORY; empty for a checkpoint."""

    @property
    def name(self) -> str:
        """Name for messages and --origin-unknown: that of its run folder, or MODULE:FACTORY."""
        return self.factory or run_of(self.path).path.name

    @property
    def run(self) -> Run | None:
        """The run that trained it, which may record nothing; None of a factory."""
        return None if self.factory else run_of(self.path)

    @property
    def is_there(self) -> bool:
        return bool(self.factory) or file_exists(self.path)

    def trained_on(self) -> str | None:
        """Fingerprint of the shards that it was trained on; None if nothing says it, as for every factory."""
        return None if self.factory else trained_on(self.path)

    def sha256(self, digest: Digest = sha256) -> str:
        """Return what identifies it: the sha256 of its checkpoint, or of a factory's source file and weights."""
        if not self.factory:
            return digest(self.path)
        from mammogan.models.own_cad import own_cad_sha256

        return own_cad_sha256(self.factory)


def parse_source(option: str, where: str, grammar: str = GRAMMAR) -> CadSource:
    """Read the place of a classifier; MissingInput, which says how it was given, if nothing is there."""
    path = Path(where)
    if ":" in where and not path.exists():
        return CadSource(Path(), where)
    tried = "" if path.is_absolute() else f" (tried {path.absolute()})"
    if not path.exists():
        raise MissingInput(f"{option}: {path} is not there{tried}; {grammar}")
    checkpoint = choose_checkpoint(path) if path.is_dir() else path
    if not file_exists(checkpoint):
        raise MissingInput(f"{option}: {path} has no checkpoint of a classifier{tried}; {grammar}")
    return CadSource(checkpoint)


def cad_source(models: Workspace, resolution: Resolution, named: str = "") -> CadSource:
    """Return the CAD that ``named`` (--cad) says; empty: the one of this resolution in ``models``, which need not be
    there."""
    if not named:
        return CadSource(choose_checkpoint(models.cad_run(resolution)))
    source = parse_source(f"--cad {named}", named)
    if source.path.suffix in FOR_VICTIMS:
        raise UserError(
            f"--cad {named}: {GRAMMAR}. A {source.path.suffix} file can be a --victim of mammogan evaluate-deeper"
        )
    return source
