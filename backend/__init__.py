"""The GPU side: editing pictures and scenes by text instructions. No bpy."""

import os

# Their warnings speak of things that this program does not use (image processors, torchvision).
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
# Spinning threads slow everything many times over as soon as anything else wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
