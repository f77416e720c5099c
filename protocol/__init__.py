"""What Blender and the backend say to each other: numpy, pyzmq and msgspec only."""
