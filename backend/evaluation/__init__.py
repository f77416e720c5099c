"""Figures: where maps look and what edits do, on data whose truth is known."""
