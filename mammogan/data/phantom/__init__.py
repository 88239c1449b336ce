"""Draw a phantom cohort: synthetic mammograms in real DICOM files, with all lesions known (docs/phantom.md).

settings   the options and the presets                     plan       patients and images, decided before any drawing
streams    independent random streams for each purpose     cohort     the folder: files, table, truth, resuming
texture, anatomy, lesions, detector -> picture             dicom      one picture -> one DICOM file
benchmarks/phantom_numbers.py measures the pictures' properties.
"""
