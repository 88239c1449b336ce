"""Checks that several settings share: least values, widths, augmentation, settings without effect.

Each raises UserError with what was expected and what was found.
"""

from __future__ import annotations

from mammogan.errors import UserError


def check_width(width: float) -> None:
    """Check the width of a network. Below 0.05 hardly a channel is left, and all smaller widths give the same
    network."""
    if not 0.05 <= width <= 8:
        raise UserError(f"--width {width:g}: expected 0.05 to 8; it multiplies every channel count")


def check_affine(rotation: float, shear: float, scale: tuple[float, float] = (1.0, 1.0)) -> None:
    """Check the ranges of the augmentation: rotation and shear in degrees, scale as smallest and largest factor."""
    if not (0 <= rotation <= 180 and 0 <= shear < 90):
        raise UserError(f"--rotation {rotation:g} --shear {shear:g}: expected degrees from 0 to 180, and to below 90")
    if not 0 < scale[0] <= scale[1]:
        raise UserError(f"--scale {scale[0]:g} {scale[1]:g}: expected the smaller factor first, both above 0")


def at_least(config: object, limit: int, *names: str, group: str = "") -> None:
    """Raise UserError naming every one of these settings that is below the limit, or no number; None passes.

    ``group`` is what their options begin with, such as ``compute.``.
    """
    found = {name: getattr(config, name) for name in names}
    wrong = [f"{group}{name} {value}" for name, value in found.items() if not (value is None or value >= limit)]
    if wrong:
        raise UserError(f"{', '.join(wrong)}: expected {limit} or more")


def options_at_least(config: object, **least: int) -> None:
    """Raise UserError for the first of these options that is below its least value, or no number; None is an option
    left out."""
    for name, limit in least.items():
        value = getattr(config, name)
        if value is not None and not value >= limit:
            raise UserError(f"--{name.replace('_', '-')} {value}: expected {limit} or more")


def refuse_changed(config: object, harmless: dict[str, object], owner: str, chosen: str, instead: str) -> None:
    """Raise UserError naming settings that only ``owner`` uses and that were changed although ``chosen`` is used.

    ``harmless`` has each setting with the value that, beside its default, may be given: it says what holds anyway.
    """
    given = {name: getattr(config, name) for name in harmless}
    changed = {name: v for name, v in given.items() if v not in (getattr(type(config), name), harmless[name])}
    if changed:
        options = ", ".join(f"--{name.replace('_', '-')} {value}" for name, value in changed.items())
        options = f"{options}: of {owner} alone, and would change nothing with {chosen}"
        raise UserError(f"{options}; leave it out ({instead})")
