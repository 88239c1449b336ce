"""Recognise the archive in a folder by the columns of its tables or, failing that, by the paths of its files."""

from __future__ import annotations

from mammogan.data.archives.base import Archive, Dataset, Found
from mammogan.data.archives.datasets import (
    cbis_ddsm,
    cmmd,
    csaw_cc,
    embed,
    inbreast,
    nlbs,
    omi_db,
    own_csv,
    rsna,
    vindr,
)
from mammogan.data.archives.labels import Basis, Policy
from mammogan.errors import UserError

ARCHIVES = {
    module.ARCHIVE.name: module.ARCHIVE
    for module in (rsna, csaw_cc, vindr, cmmd, cbis_ddsm, inbreast, embed, omi_db, nlbs, own_csv)
}


def recognise(found: Found, dataset: Dataset) -> tuple[Archive, str]:
    """Return the archive and the reason for the choice; UserError, listing the choices, if none or several fit."""
    if dataset != "auto":
        return ARCHIVES[dataset], "as requested"
    seen = _by_tables(found) or _by_layout(found)
    if len(seen) == 1:
        return next(iter(seen.items()))
    if seen:
        which = "; ".join(f"{archive.name} {why}" for archive, why in seen.items())
        raise UserError(
            f"{found.root}: found signs of several archives ({which}); say which one with --dataset {_choices()}"
        )
    raise UserError(
        f"{found.root}: no archive is recognised by its tables{found.unread_tables} or file names. If its tables lie "
        f"elsewhere, name them with --tables{found.old_workbooks}; or say with --dataset which it is: {_choices()}. "
        f"For anything else write a table with path, patient and label (docs/archives.md){found.passed_over}"
    )


def basis_of(archive: Archive, policy: Policy) -> Basis:
    """Return what counts as positive in the archive; UserError if it lacks the requested kind of evidence."""
    if policy.positive == "auto":
        return archive.bases[0]
    if policy.positive not in archive.bases:
        raise UserError(f"--positive {policy.positive}: {archive.name} knows {', '.join(archive.bases)} only")
    return policy.positive


def _by_tables(found: Found) -> dict[Archive, str]:
    seen = {archive: archive.table_seen(found) for archive in ARCHIVES.values()}
    return {archive: f"by the columns of {table.path.name}" for archive, table in seen.items() if table}


def _by_layout(found: Found) -> dict[Archive, str]:
    return {archive: "by how its files are called" for archive in ARCHIVES.values() if archive.file_seen(found)}


def _choices() -> str:
    return ", ".join(ARCHIVES)
