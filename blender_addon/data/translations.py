"""Where Blender looks up what this add-on calls things in other languages."""

CONTEXT = "Watch Your Steps"
"""A context of its own, as the same word may mean something else in Blender."""
