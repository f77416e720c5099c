"""Captures: views with their cameras, read from every format, checked and stored."""
