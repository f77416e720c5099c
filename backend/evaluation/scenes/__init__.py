"""Figures of fields and 3D edits, where the truth is known."""
