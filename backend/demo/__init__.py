"""The demo model: a small InstructPix2Pix, its training and its weights."""
