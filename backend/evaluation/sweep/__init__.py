"""`python -m backend evaluate sweep`: what thresholds, guidances, noise levels and seeds do."""
