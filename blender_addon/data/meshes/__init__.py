"""Objects' meshes and textures: read for the backend, and what it makes of them put into place."""
