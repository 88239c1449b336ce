"""The cohort table: patient, side, view, label and split of every mammogram."""
