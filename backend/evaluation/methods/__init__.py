"""`python -m backend evaluate methods`: every method that edits scenes, on one trained field."""
