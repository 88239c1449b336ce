"""The phantom cohort: mammograms of nobody, as true DICOM files, with every lesion known (docs/phantom.md).

settings   what can be asked for, and the presets          plan       who is in the cohort, decided before any pixel
streams    independent random draws for every purpose      cohort     the folder: files, table, truth, resuming
texture, anatomy, lesions, detector -> picture             dicom      one picture -> one DICOM file
calibrate  measures what the pictures are like             sheet      the contact sheet
"""
