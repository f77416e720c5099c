"""`python -m backend evaluate images`: every method on single pictures, as curves."""
