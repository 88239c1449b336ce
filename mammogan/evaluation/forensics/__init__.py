"""Measure how easily adversarial mammograms can be recognised, by a single number or by a newly trained detector."""
