"""2D: where an instruction applies in an image, and editing only there."""

from .backbone import ModelNotFound
from .editor import Edit, Editor
from .guided_edit import Step
from .relevance import RelevanceMap

__all__ = ["Edit", "Editor", "ModelNotFound", "RelevanceMap", "Step"]
