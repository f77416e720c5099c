"""The worker process: it owns the model and does the jobs."""
