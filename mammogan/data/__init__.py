"""Turn DICOM files into batches of 16-bit mammograms."""
