"""Renders of the scene and of objects, which leave the scene as it was."""
