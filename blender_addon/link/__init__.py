"""The connection to the server, and the bytes of pictures. Nothing here needs bpy."""
