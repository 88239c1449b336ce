"""MammoGAN: can a GAN that inserts or removes cancer in a mammogram fool a classifier, and who would notice?

    import mammogan

    cad = mammogan.load_cad("work/runs/cad-1024x832")
    remove = mammogan.load_generator("work/runs/gan-1024x832-remove")
    mammogram = mammogan.read_mammogram("image.dcm", "1024x832")
    adversarial = remove(mammogram)
    print(cad.positive_probability(mammogram), cad.positive_probability(adversarial))

Importing this package imports nothing heavy: each name below is fetched when it is first used (PEP 562).
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mammogan.attack.generate import generate as generate
    from mammogan.config import CadConfig as CadConfig
    from mammogan.config import GanConfig as GanConfig
    from mammogan.data.conversion.convert_cohort import convert_cohort as convert_cohort
    from mammogan.data.conversion.one_mammogram import read_mammogram as read_mammogram
    from mammogan.evaluation.evaluate import evaluate as evaluate
    from mammogan.training.cad import train_cad as train_cad
    from mammogan.training.gan import train_gan as train_gan
    from mammogan.training.run.trained_networks import load_cad as load_cad
    from mammogan.training.run.trained_networks import load_generator as load_generator
    from mammogan.workspace import Direction as Direction
    from mammogan.workspace import Resolution as Resolution
    from mammogan.workspace import Workspace as Workspace

__version__ = "0.1.0"

_MODULES = {
    "Workspace": "mammogan.workspace",
    "Resolution": "mammogan.workspace",
    "Direction": "mammogan.workspace",
    "CadConfig": "mammogan.config",
    "GanConfig": "mammogan.config",
    "convert_cohort": "mammogan.data.conversion.convert_cohort",
    "read_mammogram": "mammogan.data.conversion.one_mammogram",
    "train_cad": "mammogan.training.cad",
    "train_gan": "mammogan.training.gan",
    "load_cad": "mammogan.training.run.trained_networks",
    "load_generator": "mammogan.training.run.trained_networks",
    "generate": "mammogan.attack.generate",
    "evaluate": "mammogan.evaluation.evaluate",
}
"""Where each public name is defined."""

__all__ = ["__version__", *_MODULES]


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module 'mammogan' has no attribute {name!r}; public are {', '.join(_MODULES)}")
    value = getattr(import_module(_MODULES[name]), name)
    globals()[name] = value  # the next time, Python finds it without asking here
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_MODULES])
