"""What `python -m backend` does, one file a command."""
