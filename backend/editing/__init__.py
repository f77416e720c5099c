"""2D: where an instruction applies in an image, and editing only there."""

from .editor import Editor
from .guided_edit import Step
from .image_editor import Edit, ImageEditor
from .models.registry import ModelNotFound
from .relevance import RelevanceMap

__all__ = ["Edit", "Editor", "ImageEditor", "ModelNotFound", "RelevanceMap", "Step"]
