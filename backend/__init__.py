"""The GPU side: editing pictures and scenes by text instructions. No bpy."""

import os

# Their warnings speak of things that this program does not use (image processors, torchvision).
os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
os.environ.setdefault("DIFFUSERS_VERBOSITY", "error")
# Spinning threads slow everything many times over as soon as anything else wants the cores.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
# Else MKL sums in another order from run to run, and the same seed gives another field.
os.environ.setdefault("MKL_CBWR", "AUTO")
os.environ.setdefault("MKL_DYNAMIC", "FALSE")

__version__ = "0.1.0"
