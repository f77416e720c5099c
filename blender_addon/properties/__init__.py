"""The settings of a scene as Blender's properties, and the list of its edits."""
