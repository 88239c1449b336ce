"""Read one DICOM file into canonical pixels, and write such pixels as DICOM again."""
