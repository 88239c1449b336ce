"""The graph of stages from DICOM files to Table 1, run on this machine or submitted to SLURM."""
