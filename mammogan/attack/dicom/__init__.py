"""Write adversarial mammograms as DICOM files."""
