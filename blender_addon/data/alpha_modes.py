"""How the alpha of an image's own pixels is read, where they are written into a new file."""

import bpy


def of_pixels(image: bpy.types.Image) -> str:
    """The alpha mode that gives an image's pixels again once they were written to a file.

    "Premultiplied" says of a file of 8 bits a channel that its colours are to be divided by alpha.
    The pixels that Blender has of it are divided already: read from a file of their own in that way
    they would be a second time.
    """
    if image.alpha_mode == "PREMUL" and not image.is_float:
        return "STRAIGHT"
    return str(image.alpha_mode)
