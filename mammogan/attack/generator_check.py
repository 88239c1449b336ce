"""Read what a generator's checkpoint records, and check that it can do what is planned with it."""

from __future__ import annotations

from mammogan.config import LESION_GENERATORS
from mammogan.errors import UserError
from mammogan.models.registry import generator_class
from mammogan.training.run.checkpoint_files import OWN_ATTACK, CheckpointFacts, check_same_file
from mammogan.training.run.trained_networks import read_generator
from mammogan.workspace import Direction


def read_checked(planned: CheckpointFacts, direction: Direction, named: bool = False) -> CheckpointFacts:
    """Return the origin of a generator as its checkpoint records it; an attack of your own is returned as planned.

    Raise UserError if the file has changed since it was planned, or records the other direction or objective. Only a
    file that was ``named`` has to record what it is: those of earlier versions in their run folders do not.
    """
    if planned.arch.startswith(OWN_ATTACK):
        return planned
    state, found = read_generator(planned.path.parent, str(planned.path))
    check_same_file(planned.path, found.sha256, planned.sha256)
    requested, holds = _objective_of(planned.arch), _objective_of(found.arch)
    if holds != requested and (named or "arch" in state):
        raise UserError(
            f"{found.path} is a generator of the other objective ({holds}: {found.arch}) than --objective {requested}: "
            f"give --objective {holds}, or another --checkpoint, or bring this folder's own file back"
        )
    if found.arch not in LESION_GENERATORS:
        generator_class(found.arch)  # where the jobs are submitted, not only in them
    if found.direction not in (direction, None):
        raise UserError(
            f"{found.path} was trained to {found.direction}, but {direction} is requested: "
            f"give --direction {found.direction}, or another --checkpoint"
        )
    return found


def _objective_of(arch: str) -> str:
    return "lesion" if arch in LESION_GENERATORS else "study"
