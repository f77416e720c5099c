"""Ways of editing a picture by a text, side by side: this program's own, what its paper compares
itself with, and some beyond it.

A method is anything that satisfies `ImageMethod` (method.py): its `edit` takes one picture with
what is known of it, and settings of which one, its *knob*, is the number that its curve in the
paper's Figure 4 runs along. To have it measured beside the others, give it a place in `METHODS`
(registry.py). They run on any model that the models' registry loads.
"""
