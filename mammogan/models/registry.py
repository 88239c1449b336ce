"""Classifiers and generators by name: the study's, and your own.

``--classifier`` and ``--generator`` take a name of this registry or MODULE:CLASS, which is imported wherever the
network is needed: in the training, in a job on another node, and when its checkpoint is loaded (docs/extending.md).
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from torch import nn

from mammogan.config import CLASSIFIER, GENERATOR, LESION_GENERATORS
from mammogan.errors import UserError
from mammogan.io.atomic import sha256
from mammogan.models.networks import Cad, Critic, Discriminator, Gnet

_CLASSIFIERS: dict[str, type[Critic]] = {CLASSIFIER: Cad}
_GENERATORS: dict[str, Callable[..., nn.Module]] = {GENERATOR: Gnet}
Class = TypeVar("Class", bound=type)


def register_classifier(name: str) -> Callable[[Class], Class]:
    """Register a subclass of ``Critic`` under a short name, as a decorator.

    The name is known only in the Python process that registers it. Commands and cluster jobs run in processes of their
    own: give them MODULE:CLASS.
    """
    return _registering(_CLASSIFIERS, name)


def register_generator(name: str) -> Callable[[Class], Class]:
    """Register a class of generators under a short name, as a decorator; it is built with the width alone.

    It maps pixels (N,1,H,W), uint16 or floats in [0,1], to adversarial pixels in [0,1] of the same shape. The name is
    known only in this Python process, as in ``register_classifier``.
    """
    return _registering(_GENERATORS, name)


def build_classifier(name: str, width: float) -> Critic:
    """Build a classifier with random weights: pixels (N,1,H,W) -> logits (N,2), negative 0, positive 1."""
    built = classifier_class(name).classifier(width)
    refuse_batch_norm(name, built)
    return built


def refuse_batch_norm(name: str, built: Critic) -> None:
    """Raise UserError for a classifier with batch norm, which a gradient penalty for each image alone does not fit."""
    if any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in built.modules()):
        raise UserError(
            f"classifier {name!r} has batch norm, which makes one mammogram's logits depend on the others of its "
            "batch, and the gradient penalty is taken for each alone. Use nn.GroupNorm, as docs/extending.md does"
        )


def build_generator(name: str, width: float, norm: str = "batch") -> nn.Module:
    """Build a generator with random weights; ``norm`` is Gnet's (``--gnet-norm``)."""
    found = generator_class(name)
    return Gnet(width, norm) if found is Gnet else found(width)


def classifier_class(name: str) -> type[Critic]:
    """Return a classifier's class, a subclass of ``Critic``; UserError if the name has none here."""
    found = _look_up(_CLASSIFIERS, name, "classifier")
    wrong = not (isinstance(found, type) and issubclass(found, Critic))
    if wrong or (found is not Cad and issubclass(found, Cad | Discriminator)):
        raise UserError(
            f"classifier {name!r}: expected a subclass of mammogan.models.networks.Critic, and of no other class of "
            f"that module, found {found!r}"
        )
    return found


def generator_class(name: str) -> Callable[..., nn.Module]:
    """Return a generator's class, which is built with the width; UserError if the name has none here."""
    found = _look_up(_GENERATORS, name, "generator")
    # A checkpoint may name anything, also a function such as os:system.
    if not (isinstance(found, type) and issubclass(found, nn.Module)):
        raise UserError(
            f"generator {name!r}: expected a subclass of torch.nn.Module that is built with the width, found {found!r}"
        )
    return found


def sources_of(classifier: str = CLASSIFIER, generator: str = GENERATOR) -> dict[str, str]:
    """Return the sha256 of the source files that define a classifier and a generator of your own, by what they are.

    The study's own have none: the version of this package identifies them. Neither has a class that is in no file, such
    as one defined in a notebook.
    """
    own = {"classifier": (classifier, CLASSIFIER), "generator": (generator, GENERATOR)}
    classes = {"classifier": classifier_class, "generator": generator_class}
    files = {kind: source_file(classes[kind](name)) for kind, (name, ours) in own.items() if name != ours}
    return {f"{kind}_source_sha256": sha256(file) for kind, file in files.items() if file is not None}


def source_file(found: Any) -> Path | None:
    """Return the Python file that defines a class; None if there is none."""
    try:
        file = Path(inspect.getsourcefile(found) or "")
    except TypeError:
        return None
    return file if file.is_file() else None


def is_known_generator(name: str) -> bool:
    """Whether a checkpoint's generator can be built here: a registered name, or MODULE:CLASS."""
    return name in _GENERATORS or ":" in name


def _registering(table: dict[str, Any], name: str) -> Callable[[Class], Class]:
    def register(cls: Class) -> Class:
        there = table.get(name, cls)
        same = (there.__module__, there.__qualname__) == (cls.__module__, cls.__qualname__)
        if name in LESION_GENERATORS or not same:
            raise ValueError(f"{name!r} is registered already, as {there!r}: choose another name")
        table[name] = cls
        return cls

    return register


def _look_up(table: dict[str, Any], name: str, kind: str) -> Any:
    if name in table:
        return table[name]
    if ":" not in name:
        raise UserError(
            f"{kind} {name!r}: expected {', '.join(sorted(table))}, or MODULE:CLASS such as my_networks:MyNetwork. A "
            f"short name given to register_{kind} is known only in the Python process that registered it: commands, "
            "cluster jobs and programs that load its checkpoints need MODULE:CLASS"
        )
    return imported(name, kind)


def imported(path: str, kind: str) -> Any:
    """Import MODULE:CLASS; UserError, which names the ``kind`` of thing it should be, if that fails."""
    module, _, attribute = path.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError, ValueError, TypeError) as error:
        raise UserError(
            f"{kind} {path!r} cannot be imported here ({error}); is its folder in PYTHONPATH, and on every node?"
        ) from error
