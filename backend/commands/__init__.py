"""What `python -m backend` does, one file a command."""

from backend.command_line import Tree
from backend.commands import evaluate
from backend.commands.image import Edit, Relevance
from backend.commands.import_capture import Import
from backend.commands.mesh import Mesh
from backend.commands.render import Render
from backend.commands.scene_edit import EditScene
from backend.commands.texture import Texture
from backend.commands.train import Train
from backend.commands.undo import Undo

COMMANDS: Tree = {
    "relevance": Relevance,
    "edit": Edit,
    "scene": (
        "3D: captures, fields, edits, meshes and textures.",
        {
            "import": Import,
            "train": Train,
            "edit": EditScene,
            "undo": Undo,
            "render": Render,
            "mesh": Mesh,
            "texture": Texture,
        },
    ),
    "evaluate": (
        "Measure a model where the truth is known.",
        {
            "relevance": evaluate.Relevance,
            "images": evaluate.Images,
            "sweep": evaluate.Sweep,
            "regions": evaluate.Regions,
            "grid": evaluate.Grid,
            "scene": evaluate.Scene,
            "capture": evaluate.Capture,
            "methods": evaluate.Methods,
            "check": evaluate.Check,
            "clip": evaluate.Clip,
            "captions": evaluate.Captions,
            "texture": evaluate.Texture,
        },
    ),
    "bench": (
        "How fast this machine is.",
        {
            "edit": evaluate.BenchEdit,
            "relevance": evaluate.BenchRelevance,
            "gpu": evaluate.BenchGpu,
            "radiance": evaluate.Radiance,
            "capture": evaluate.BenchCapture,
            "detail": evaluate.Detail,
            "speed": evaluate.BenchSpeed,
        },
    ),
}
"""Every command by its name."""
