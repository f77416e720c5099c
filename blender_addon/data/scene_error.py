"""The error of what is in a scene and cannot be used."""


class SceneError(RuntimeError):
    """A picture cannot be taken, or an object not be used; the text says why, and what to do."""
