"""Scan public archives, or your own folder of mammograms, and write the cohort table."""
