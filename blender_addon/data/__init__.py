"""What is read from the .blend file and kept in it: settings, pictures, edits, textures, meshes."""
