"""Read a view as a person writes it into her own table: CC, left cranio-caudal, MLO with implant, CC mag.

Only a modifier that is known leaves an image out. Words that say nothing against it are passed over, such as implants,
which alone are no reason; with any other word the cell is not understood, so that the table is refused.
"""

from __future__ import annotations

import re

from mammogan.data.archives.views import view_meant
from mammogan.data.dicom.usable import BEGIN, END, NOT, without_denials

MODIFIER = (
    rf"({BEGIN}|(?<=cc)|(?<=mlo))"
    r"(spots?|mag(n|nif\w*)?|roll(ed|ing)?|displac\w*|eklund|push\w*[ -]?back|tomo(s\w*|gra\w*)?|tangential\w*|"
    r"axill\w*|cleavage|exaggerat\w*|specimens?)"
    rf"({END}|(?=cc)|(?=mlo))"
)
OTHER_VIEW = re.compile(MODIFIER, re.I)
"""Words for views, and kinds of images, that are left out."""
SEEN = r"(\s+(in situ|in place|in view|present|visible|intact|seen|shown|included))"
WITH = rf"({BEGIN}(with|w/|mit|avec|con|com|met|incl\w*\.?|inkl\w*\.?)\s*(the\s+)?)"
IMPLANT = rf"{BEGIN}implant(s|at|ate|aten)?"
HARMLESS = re.compile(
    rf"{NOT}[\s:_-]*((an?|any){END}\s*)?({IMPLANT}|{MODIFIER}){END}|{BEGIN}undisplaced{END}|"
    rf"{WITH}?{IMPLANT}{END}{SEEN}?|{WITH}{BEGIN}axillae?{END}|{BEGIN}axillae?{SEEN}{END}",
    re.I,
)
"""What says nothing against an image: implants, an axilla that is seen, and a modifier that is denied."""


def view_of(cell: str) -> str:
    """Return the view that a cell names; one that is no plain view as it is written, so that the image is left out.

    An empty text means that the cell is not understood.
    """
    if view := view_meant(cell):
        return view
    said = HARMLESS.sub(" ", without_denials(cell))
    return cell.upper() if OTHER_VIEW.search(said) else view_meant(said)
