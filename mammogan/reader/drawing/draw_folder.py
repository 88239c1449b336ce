"""Draw a reader study: choose the images, audit them, write the private key, the images, and last the plan.

An interrupted drawing continues with the key that it has written; a complete one is never changed.
"""

from __future__ import annotations

import dataclasses
import secrets
from typing import Any

from mammogan.data.inspect.population import population_of
from mammogan.data.shards.index import ShardIndex
from mammogan.errors import MissingInput, UserError
from mammogan.io.atomic import PRIVATE, write_text
from mammogan.io.disk_errors import free_bytes
from mammogan.io.own_files import file_exists
from mammogan.io.provenance import made_by
from mammogan.io.shell import shell_word
from mammogan.io.temporary import remove_abandoned
from mammogan.io.terminal import say
from mammogan.left_by_others import is_empty
from mammogan.reader.config import MOST_SEED, DrawConfig
from mammogan.reader.drawing import cues
from mammogan.reader.drawing.draw import OBSERVED, Drawing, Shown, draw
from mammogan.reader.drawing.images import audit, name_images, outlines, write_images
from mammogan.reader.drawing.plan_page import cue_table, page
from mammogan.reader.drawing.plan_parts import ordered, plan_of
from mammogan.reader.drawing.pool import Pool, find_pool
from mammogan.reader.drawing.request import Group, Request
from mammogan.reader.drawing.texts import read_texts
from mammogan.reader.folder import IMAGES, ReadingFolder
from mammogan.reader.key import ReadingKey
from mammogan.reader.key_checks import check_key
from mammogan.reader.plan import Phantoms
from mammogan.reader.plan_checks import check_plan, refuse
from mammogan.workspace import Resolution, Workspace

WRITTEN = "plan.md"


def draw_reading(workspace: Workspace, config: DrawConfig) -> list[ReadingFolder]:
    """Draw the study of the high resolution, and of the low one if it has readers; return the folders.

    Raise MissingInput, naming the commands, if adversarial images are missing; nothing is written then.
    """
    workspace = workspace.of(config.objective)
    texts, sizes = read_texts(config.texts), _resolutions(workspace, config)
    requests = [Request(workspace, config, group, size, texts) for group, size in sizes.items()]
    pools = [_pool(request) for request in requests]
    for request, pool in zip(requests, pools, strict=True):
        _draw_one(request, pool)
    return [request.folder for request in requests]


def _resolutions(workspace: Workspace, config: DrawConfig) -> dict[Group, Resolution]:
    there = workspace.resolutions()
    if not there:
        raise MissingInput(
            f"no shards in {workspace.root / 'shards'}; run\n"
            f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)}"
        )
    high = Resolution.parse(config.resolution) if config.resolution else there[0]
    if not config.low_readers:
        return {"high": high}
    if not config.low_resolution and len(there) < 2:
        raise MissingInput(
            f"--low-readers need shards of a second resolution, {workspace.root} has {there[0]} only; run\n"
            f"  mammogan make-shards --cohort labels.csv --workspace {shell_word(workspace.root)} --resolution low"
        )
    low = Resolution.parse(config.low_resolution) if config.low_resolution else there[1]
    if low == high:
        raise UserError(f"{low} is the resolution of --readers and of --low-readers: choose another --low-resolution")
    return {"high": high, "low": low}


def _pool(request: Request) -> Pool:
    config = request.config
    training = int(OBSERVED * config.scale)
    where = request.workspace, request.resolution
    return find_pool(*where, config.background, config.allow_out_of_domain, training)


def _draw_one(request: Request, pool: Pool) -> None:
    """Draw one folder, continue an interrupted drawing, or report that it is complete."""
    folder, key_file = request.folder, request.key_file
    made_from = request.made_from(pool)
    if file_exists(key_file):
        key = ReadingKey.load(key_file)
        _refuse_other(request, key, made_from)
        if folder.complete:
            plan = folder.load()
            ReadingKey.load_of(plan, key_file)
            folder.check(plan)
            say(f"{folder.path}: drawn already and unchanged")
            return
        say(f"{folder.path}: the drawing continues")
    else:
        if folder.path.exists() and not is_empty(folder.path):
            raise UserError(
                f"{folder.path} exists, but its key {key_file} does not: without it nobody can say which image is "
                "which. Bring the key back, or remove the folder, or choose another --name"
            )
        key = _new_key(request, pool, made_from)
        _say_size(request, key)
        key.save(key_file)
    _finish(request, key, pool)


def _refuse_other(request: Request, key: ReadingKey, made_from: dict[str, Any]) -> None:
    if made_from["seed"] is None:  # the key's own, given or random
        made_from = {**made_from, "seed": key.made_from.get("seed")}
    changed = [name for name in made_from if key.made_from.get(name) != made_from[name]]
    if changed:
        words = ", ".join(name.replace("_", "-") for name in changed)
        raise UserError(
            f"{request.folder.path} was drawn from something else ({words}). A study that was drawn is never changed: "
            f"choose another --name, or remove that folder and {request.key_file}"
        )


def _new_key(request: Request, pool: Pool, made_from: dict[str, Any]) -> ReadingKey:
    """Choose, audit and name the images. Raise UserError if a visible cue tells which are adversarial."""
    config = request.config
    seed = config.seed if config.seed is not None else secrets.randbelow(MOST_SEED)
    seed += request.group == "low"  # with the same seed, a reader of both would see one order twice
    drawing = _same_as_high(request, pool) if request.same_images else draw(pool.candidates, request.rules, seed)
    found = audit(drawing, pool, config.background)
    say("cue audit: how well one number per image tells adversarial images from originals; an AUC of 0.5 is chance")
    say(cue_table(found.cues))
    if not config.allow_cues:
        cues.refuse_visible(found.cues)
    return ReadingKey(
        name=request.title,
        identity=secrets.token_hex(16),
        seed=seed,
        made_from=made_from,
        made_by=made_by(),
        images=name_images(drawing, pool),
        window=(found.window.low, found.window.high),
        difference_scale=found.difference_scale,
        cues=tuple(dataclasses.asdict(row) for row in found.cues),
        left_out=dict(pool.left_out),
        notes=tuple(drawing.notes),
        alike=found.alike,
    )


def _same_as_high(request: Request, pool: Pool) -> Drawing:
    """Return the drawing of the high resolution, for the low one."""
    high = ReadingKey.load(request.workspace.reading_key(request.config.title))
    drawing = Drawing(notes=[*high.notes, f"The images are those of {high.name}, at {request.resolution}."])
    lacking = sorted({i.key for i in high.images if i.key not in pool.sources})
    lacking += sorted({i.key for i in high.images if i.fake_key and not pool.sources[i.key].fake} - set(lacking))
    if lacking:
        raise UserError(
            f"--low-same-images: {len(lacking)} of the drawn mammograms cannot be shown at {request.resolution}, such "
            f"as {lacking[0]}: make both resolutions from one cohort, or let the low readers have a draw of their own"
        )
    triplets = {(i.session, i.key) for i in high.images if i.role == "difference"}
    for image in high.images:
        if image.role == "difference":
            shown = Shown(image.key, image.patient, image.label, "triplet")
        elif (image.session, image.key) in triplets:
            continue
        else:
            shown = Shown(image.key, image.patient, image.label, image.role)
        (drawing.sessions.setdefault(image.session, []) if image.session else drawing.practice).append(shown)
    drawing.sessions = dict(sorted(drawing.sessions.items()))
    return drawing


def _say_size(request: Request, key: ReadingKey) -> None:
    """Say how much will be written. Raise UserError if the disk has less room."""
    size = len(key.images) * 2 * request.resolution.height * request.resolution.width
    say(f"{request.folder.path}: {len(key.images)} images of {request.resolution}, {size / 1e9:.2f} GB")
    if (left := free_bytes(request.folder.path)) < size:
        raise UserError(
            f"the disk of {request.folder.path} has {left / 1e9:.2f} GB left, the images need {size / 1e9:.2f} GB: "
            "make room first"
        )


def _finish(request: Request, key: ReadingKey, pool: Pool) -> None:
    """Write what is missing: images, plan.md, and last reading.json; check all rules before that."""
    folder, config = request.folder, request.config
    phantoms = _phantoms(request, key)
    folder.path.mkdir(parents=True, exist_ok=True, mode=0o700)
    remove_abandoned(folder.path)
    remove_abandoned(folder.path / IMAGES)
    written = write_images(folder, key, pool, config.background)
    circles = outlines(key, pool, config.background) if config.education == "outlined" else {}
    orders = ordered(key, request.readers, config.order)
    plan = plan_of(request, key, orders, circles, phantoms, written)
    checks = [*check_plan(plan), *check_key(plan, key, orders.gaps, config.session_4_overlap)]
    refuse(checks, str(folder.path))
    folder.check(plan, hashes=False)
    write_text(folder.path / WRITTEN, page(request, plan, key, checks), PRIVATE)
    folder.write_plan(plan)
    written.forget()
    say(f"{folder.path}: complete; read {folder.path / WRITTEN}")
    say(f"which image is which: {request.key_file} (keep it private, and keep a copy)")
    say(f"Next: mammogan serve-reading {shell_word(folder.path)}")


def _phantoms(request: Request, key: ReadingKey) -> Phantoms:
    """Return what phantoms are among the mammograms that are shown."""
    index = ShardIndex.load(request.workspace.shards(request.resolution))
    shown = population_of(request.workspace, index, index.shards, {image.key for image in key.images})
    return Phantoms(shown.note, and_patients=bool(shown.note) and not shown.all_phantoms)
