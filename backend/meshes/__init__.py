"""Triangle meshes and their textures: seen, painted on, extracted, baked, read and written."""
