"""Write the folder of a phantom cohort: DICOM files, the cohort table, and the truth.

DIR/settings.json   the requested settings; a run with other settings is refused
DIR/dicom, masks, twins, and DIR/drawn/<patient>.json   written patient by patient; a stopped run resumes from there
DIR/truth.json, then DIR/labels.csv   written last: if the table exists, the cohort is complete
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import os
import signal
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from PIL import Image

from mammogan.data.phantom import dicom
from mammogan.data.phantom.picture import Mask, Placed, draw
from mammogan.data.phantom.plan import PlannedImage, PlannedPatient, plan_cohort
from mammogan.data.phantom.settings import GENERATOR_VERSION, TRUTH_SCHEMA, PhantomConfig
from mammogan.errors import NotStarted, UserError
from mammogan.io import atomic, tables, terminal
from mammogan.io.own_files import file_exists
from mammogan.io.records import EVERY, read_record, write_record
from mammogan.left_by_others import is_empty

SETTINGS, TRUTH, TABLE = "settings.json", "truth.json", "labels.csv"
COLUMNS = ("path", "patient", "laterality", "view", "label", "density")
WRITERS = 4
DRAWN_AGAIN = "Delete it and repeat mammogan make-phantom, which draws this patient again"


@dataclasses.dataclass(frozen=True)
class Made:
    """The numbers of images and patients in a finished cohort."""

    images: int
    patients: int
    positive_images: int
    positive_patients: int
    drawn_now: int
    """Number of patients that this run drew; the others existed already."""


def make_cohort(config: PhantomConfig, out: Path, jobs: int = 0) -> Made:
    """Draw the cohort, or its missing patients, into ``out``. The bytes do not depend on ``jobs`` (0: one per core).

    Raises UserError if ``out`` holds a cohort with other settings, or other files.
    """
    plan = plan_cohort(config)
    claim(config, out)
    waiting = [patient for patient in plan if not _complete(config, patient, out)]
    if waiting:
        (out / TABLE).unlink(missing_ok=True)
        for _ in terminal.track(_draw_all(config, waiting, out, jobs), len(waiting), "patients drawn"):
            pass
    if not file_exists(out / TABLE):
        _write_truth_and_table(config, plan, out)
    positive = [patient for patient in plan if patient.label == "positive"]
    return Made(
        images=sum(len(patient.images) for patient in plan),
        patients=len(plan),
        positive_images=sum(len(patient.images) for patient in positive),
        positive_patients=len(positive),
        drawn_now=len(waiting),
    )


def claim(config: PhantomConfig, out: Path) -> None:
    """Write the settings into a new folder; UserError if the folder has other settings or other files."""
    requested = {"generator": GENERATOR_VERSION, **dataclasses.asdict(config)}
    if file_exists(out / SETTINGS):
        held = read_record(out / SETTINGS, {"generator": str})
        differing = [
            f"{name} {held.get(name)} there, {requested.get(name)} requested"
            for name in sorted({*held, *requested})
            if held.get(name) != requested.get(name)
        ]
        if differing:
            raise UserError(
                f"{out} holds a phantom cohort made with other settings ({'; '.join(differing)}). "
                "Give the same settings to complete it, or give another --out"
            )
    elif out.exists() and not is_empty(out):
        raise UserError(f"{out} is not empty and holds no phantom cohort: give a new or empty folder as --out")
    else:
        write_record(out / SETTINGS, requested)


def _draw_all(config: PhantomConfig, patients: list[PlannedPatient], out: Path, jobs: int) -> Iterator[None]:
    workers = min(jobs or len(os.sched_getaffinity(0)), len(patients))
    if workers == 1:
        for patient in patients:
            draw_patient_files(config, patient, out)
            yield
        return
    try:
        pool = ProcessPoolExecutor(workers, get_context("spawn"), initializer=_leave_interrupts_to_the_parent)
    except OSError as error:
        raise NotStarted(error) from error
    try:
        for drawn in as_completed(_drawing(pool, config, patients, out)):
            drawn.result()
            yield
    finally:
        pool.shutdown(cancel_futures=True)


def _drawing(
    pool: ProcessPoolExecutor, config: PhantomConfig, patients: list[PlannedPatient], out: Path
) -> list[Future[None]]:
    try:
        return [pool.submit(draw_patient_files, config, patient, out) for patient in patients]
    except (OSError, RuntimeError) as error:  # the processes and their thread are started here
        raise NotStarted(error) from error


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _paths(config: PhantomConfig, patient: PlannedPatient, image: PlannedImage) -> dict[str, str | None]:
    """Return the paths of the image's files, relative to the cohort's folder; None for files it does not have."""
    positive = patient.label == "positive"
    return {
        "file": f"dicom/{image.name}.dcm",
        "mask": f"masks/{image.name}.png" if positive else None,
        "twin": f"twins/{image.name}.dcm" if positive and config.twins else None,
    }


def _record(patient: PlannedPatient, out: Path) -> Path:
    return out / "drawn" / f"{patient.patient_id}.json"


def _truth(patient: PlannedPatient, out: Path) -> dict[str, Any]:
    return read_record(_record(patient, out), {EVERY: {"file": str, **dict.fromkeys(COLUMNS[1:])}}, DRAWN_AGAIN)


def _complete(config: PhantomConfig, patient: PlannedPatient, out: Path) -> bool:
    wanted = [path for image in patient.images for path in _paths(config, patient, image).values() if path]
    return file_exists(_record(patient, out)) and all(file_exists(out / path) for path in wanted)


def draw_patient_files(config: PhantomConfig, patient: PlannedPatient, out: Path) -> None:
    """Draw and write all files of one patient, her record last. One image is written while the next is drawn."""
    truth, writing = {}, []
    with ThreadPoolExecutor(WRITERS) as disk:
        for image in patient.images:
            contents, truth[image.name] = _draw_image(config, patient, image)
            writing += [disk.submit(_write, out / path, content) for path, content in contents.items()]
    for written in writing:
        written.result()
    write_record(_record(patient, out), truth)


def _draw_image(
    config: PhantomConfig, patient: PlannedPatient, image: PlannedImage
) -> tuple[dict[str, bytes], dict[str, Any]]:
    """Return the contents of the files of one image, by path, and its truth."""
    drawn = draw(config, patient, image)
    paths = _paths(config, patient, image)
    contents = {str(paths["file"]): dicom.encode(config, patient, image, drawn.pixels, twin=False)}
    if paths["mask"]:
        contents[paths["mask"]] = _png(dicom.stored(drawn.lesion, image.breast))
    if paths["twin"] and drawn.twin is not None:
        contents[paths["twin"]] = dicom.encode(config, patient, image, drawn.twin, twin=True)
    truth = {
        **paths,
        "sha256": {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()},
        "patient": patient.patient_id,
        "laterality": image.breast,
        "view": image.view,
        "label": patient.label,
        "monochrome1": patient.monochrome1,
        **{name: _rounded(value) for name, value in dataclasses.asdict(drawn.patient).items()},
        "lesions": [_where(placed, image, config) for placed in drawn.lesions],
        "distractors": [_where(placed, image, config) for placed in drawn.distractors],
    }
    return contents, truth


def _png(mask: Mask) -> bytes:
    """Encode a mask as an 8-bit PNG with values 0 and 255."""
    png = io.BytesIO()
    Image.fromarray(mask).convert("L").save(png, "PNG")
    return png.getvalue()


def _rounded(value: Any) -> Any:
    return round(value, 4) if isinstance(value, float) else value


def _where(placed: Placed, image: PlannedImage, config: PhantomConfig) -> dict[str, Any]:
    """Return a finding's kind, place and radius; rows and columns are those of the stored pixels."""
    column = placed.column if image.breast == "L" else config.width - 1 - placed.column
    return {"kind": placed.kind, "row": placed.row, "col": column, "radius_mm": placed.radius_mm}


def _write(path: Path, content: bytes) -> None:
    with atomic.replaced_atomically(path) as temporary:
        temporary.write_bytes(content)


def _write_truth_and_table(config: PhantomConfig, plan: list[PlannedPatient], out: Path) -> None:
    images = {name: truth for patient in plan for name, truth in _truth(patient, out).items()}
    write_record(
        out / TRUTH,
        {
            "schema": TRUTH_SCHEMA,
            "generator": GENERATOR_VERSION,
            "preset": config.preset,
            "seed": config.seed,
            "conspicuity": config.conspicuity,
            "mass_over_gland": round(config.mass_over_gland, 6),
            "contrast_gain": config.contrast_gain,
            "size": [config.height, config.width],
            "spacing_mm": config.spacing_mm,
            "images": images,
        },
    )
    rows = ([truth["file"], *(truth[column] for column in COLUMNS[1:])] for truth in images.values())
    tables.write(out / TABLE, COLUMNS, rows)
