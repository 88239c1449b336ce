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

    Raise UserError if the file has changed since it was planned, records the other direction or, when its path was
    ``named``, the other objective.
    """
    if planned.arch.startswith(OWN_ATTACK):
        return planned
    found = read_generator(planned.path.parent, str(planned.path))[1]
    check_same_file(planned.path, found.sha256, planned.sha256)
    objective = "lesion" if planned.arch in LESION_GENERATORS else "study"
    if named and (found.arch in LESION_GENERATORS) != (objective == "lesion"):
        raise UserError(
            f"{found.path} is a generator of the other objective ({found.arch}) than --objective {objective}: "
            "give the other --objective, or another --checkpoint"
        )
    if found.arch not in LESION_GENERATORS:
        generator_class(found.arch)  # where the jobs are submitted, not only in them
    if found.direction not in (direction, None):
        raise UserError(
            f"{found.path} was trained to {found.direction}, but {direction} is requested: "
            f"give --direction {found.direction}, or another --checkpoint"
        )
    return found
