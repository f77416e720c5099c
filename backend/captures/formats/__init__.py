"""The forms in which programs write cameras of photos; one reader a file, one table of them all."""
