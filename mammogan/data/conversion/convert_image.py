"""Convert one row of the cohort to the members of a sample; the file is decoded once for all resolutions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch

from mammogan.data.cohort.cohort import Mammogram
from mammogan.data.cohort.label_sources import SOURCES
from mammogan.data.cohort.pseudonyms import Pseudonyms
from mammogan.data.dicom.fit import Fit, size_flags
from mammogan.data.dicom.flags import Flag
from mammogan.data.dicom.header_facts import CLAIMS
from mammogan.data.dicom.read import Placement, Reading, Source, Unusable, place, read_mammogram
from mammogan.data.shards.codec import Codec, encode
from mammogan.data.shards.index import SCHEMA
from mammogan.workspace import Resolution

OF_THE_TABLE = ("density", "study", *SOURCES)
"""Columns that a sample's JSON contains only when the table has a value for them."""


@dataclass(frozen=True)
class Task:
    """A mammogram to convert, and the settings of the conversion."""

    mammogram: Mammogram
    resolutions: tuple[Resolution, ...]
    names: Pseudonyms
    reading: Reading = field(default=Reading())
    fit: Fit = "pad"
    codec: Codec = "zstd"


@dataclass(frozen=True)
class Members:
    """The two files of a sample in a shard, as bytes; ``flags`` are in its JSON too."""

    pixels: bytes
    json: bytes
    flags: tuple[Flag, ...] = ()


@dataclass(frozen=True)
class Converted:
    """A sample at every requested resolution; ``source_hmac`` is the keyed hash of the stored pixels."""

    source_hmac: str
    members: dict[Resolution, Members]


@dataclass(frozen=True)
class Skipped:
    """The reason why a row gave no sample: ``code`` may be published, ``detail`` may quote the file."""

    code: str
    detail: str = ""
    source_hmac: str = ""
    """The keyed hash of the stored pixels, if another row with the same ones is the reason."""


def convert(task: Task) -> Converted | Skipped:
    """Convert one row, in a worker process. Any error with the file is returned as Skipped, not raised."""
    row = task.mammogram
    try:
        source = read_mammogram(row.path, row.laterality, row.view, task.reading)
        with _one_thread():
            members = {resolution: _members(task, source, resolution) for resolution in task.resolutions}
    except Unusable as reason:
        return Skipped(reason.code, reason.detail)
    except MemoryError as error:
        return Skipped("out_of_memory", repr(error))
    except Exception as error:  # a header can be wrong in unforeseen ways; one file must not end the run
        return Skipped("unexpected", repr(error))
    return Converted(task.names.source(source.fingerprint), members)


@contextmanager
def _one_thread() -> Iterator[None]:
    """Limit torch to one thread: with one process per core, more threads would only slow each other down."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _members(task: Task, source: Source, resolution: Resolution) -> Members:
    pixels, placement = place(source, resolution, task.fit)
    facts = sample_facts(task.mammogram, source, placement, task.names)
    of_size = size_flags(task.fit, placement, resolution, source.facts["source_spacing_mm"])
    facts["flags"] = sorted({*facts["flags"], *of_size})
    return Members(encode(pixels, task.codec), json.dumps(facts, allow_nan=False).encode(), tuple(facts["flags"]))


def sample_facts(row: Mammogram, source: Source, placement: Placement, names: Pseudonyms) -> dict[str, Any]:
    """Collect the JSON member of a sample from an allow-list: no name, number, date, UID or path of the source."""
    spacing, scale = source.facts["source_spacing_mm"], placement.scale
    return {
        "schema": SCHEMA,
        "key": row.key,
        "patient": row.patient,
        "split": row.split,
        "label": row.label,
        "y_cancer": int(row.label == "positive"),
        "laterality": row.laterality,
        "view": row.view,
        **{name: value for name in OF_THE_TABLE if (value := getattr(row, name))},
        "source_shape": source.facts["source_shape"],
        "source_spacing_mm": spacing,
        "spacing_mm": spacing and [round(mm / per, 6) for mm, per in zip(spacing, scale, strict=True)],
        "photometric": source.facts["photometric"],
        "bits_stored": source.facts["bits_stored"],
        "voi": source.facts["voi"],
        "placement": placement.to_json(),
        "flip_h": source.flip_h,
        **({"clean_background": True} if source.facts["clean_background"] else {}),
        "synthetic": source.facts["synthetic"],
        "film": source.facts["film"],
        **{name: source.facts[name] for name in CLAIMS if name in source.facts},
        "flags": source.facts["flags"],
        **({"header_patient": names.header_patient(source.header_patient)} if source.header_patient else {}),
        "source_hmac": names.source(source.fingerprint),
    }
