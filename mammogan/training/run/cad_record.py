"""What a CAD's run says about how well it reads, and when a CAD is too weak to be attacked.

A GAN trained against a CAD no better than chance learns nothing that can be measured. Imports nothing heavy."""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from mammogan.errors import UserError
from mammogan.io.records import DamagedRecord
from mammogan.training.run.run_folder import Run

READING = "reading"
"""Name of the reading in done.json and in checkpoints."""


@dataclass(frozen=True)
class CadReading:
    """How well a CAD reads mammograms. In its run's record: the validation split, at the probability
    models.networks.CALLED_POSITIVE."""

    auc: float | None
    """None without both classes."""
    auc_low: float | None
    """Ends of the AUC's 95% interval, over patients; None where there are too few."""
    auc_high: float | None
    positives_right: int
    positives: int
    negatives_right: int
    negatives: int

    @classmethod
    def of(cls, held: dict[str, Any] | None) -> CadReading | None:
        """Read what a record holds; None if it holds none. Raises LookupError or TypeError for anything else."""
        return None if held is None else cls(**{field.name: held[field.name] for field in fields(cls)})

    @property
    def weakness(self) -> str:
        """Why it is not known to read validation better than chance; empty if it is."""
        return self.why_weak("validation ")

    def why_weak(self, images: str = "") -> str:
        """Return why it is not known to read better than chance; empty if it is.

        It is known if the AUC's interval is above 0.5, and if it gets a positive and a negative right. Without an
        interval it is not known. ``images`` says in the sentence which mammograms were read.
        """
        reasons = []
        if self.auc_low is None or self.auc_high is None:
            area = "none can be given" if self.auc is None else f"{self.auc:.2f}, over too few patients for an interval"
            reasons.append(f"{images}AUC: {area}")
        elif self.auc_low <= 0.5:
            reasons.append(f"{images}AUC {self.auc:.2f}, 95% interval {self.auc_low:.2f} to {self.auc_high:.2f}")
        for label in ("positive", "negative"):
            right, all_ = getattr(self, f"{label}s_right"), getattr(self, f"{label}s")
            if not right:
                reasons.append(f"{right} of {all_} {images}{label}s are called {label}")
        return "; ".join(reasons)


def reading_of_run(cad: Run) -> CadReading | None:
    """Return the reading in a CAD's done.json; None if it has none, as those of earlier versions.

    Raises UserError if it is damaged.
    """
    try:
        return CadReading.of(cad.facts.get(READING))
    except (TypeError, LookupError):
        raise DamagedRecord(cad.done, f"{READING} is not understood") from None


def refuse_weak(reading: CadReading | None, cad: Path | str, allow: bool) -> None:
    """Raise UserError if a CAD is known not to read better than chance, unless that is allowed."""
    if reading and reading.weakness and not allow:
        raise UserError(
            f"the CAD of {cad} is not known to read better than chance: {reading.weakness}. Whether a GAN fools "
            "it means nothing then. Train the CAD for longer or on more mammograms; --allow-weak-cad trains the GAN "
            "all the same, and the report says so"
        )


def notice(reading: CadReading | None) -> str:
    """Return what a report says of a weak CAD; empty if it is not known to be one."""
    if not reading or not reading.weakness:
        return ""
    return f"The CAD is not known to read better than chance ({reading.weakness}): whether it is fooled means nothing."
