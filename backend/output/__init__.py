"""What the commands write: words while they run, and files."""
