"""The radiance field and the relevance field of a capture, and their training."""
