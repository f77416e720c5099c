"""Panels, buttons, the overlay, and the handlers that Blender calls."""
