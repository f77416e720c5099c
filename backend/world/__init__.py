"""The procedural world with exact truth: scenes, edits and their wording, pictures and masks."""
