"""Run by the backend's Python: how Blender's renders agree with the world's own renderer's.

Prints JSON: for each engine the IoU of every thing's mask, the correlation of the grey values
inside it, and for each edit the IoU of its mask.
"""

import json
import sys
from pathlib import Path

import numpy as np

from backend.evaluation.metrics import intersection_over_union
from backend.evaluation.renders import WORLD, read_renders

renders = read_renders(Path(sys.argv[1]))
report = {}
for engine, samples in renders.items():
    things, greys, edits = [], [], []
    for own, theirs in zip(renders[WORLD], samples, strict=True):
        assert own.edit == theirs.edit
        assert own.captions == theirs.captions
        edits.append(intersection_over_union(theirs.mask > 0.5, own.mask > 0.5))
    own, theirs = renders[WORLD][0], samples[0]
    for mine, blenders in zip(own.things, theirs.things, strict=True):
        things.append(intersection_over_union(blenders > 0.5, mine > 0.5))
        inside = (mine > 0.99) & (blenders > 0.99)
        pair = [sample.image[inside].mean(axis=1) for sample in (own, theirs)]
        greys.append(float(np.corrcoef(*pair)[0, 1]))
    report[engine] = {"things": things, "greys": greys, "edits": edits}
print(json.dumps(report))
