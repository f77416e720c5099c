"""The jobs of scenes: what each asks the server for, and how they run."""
