"""Evaluations whose samples are independent: spread over processes or a cluster, and kept."""
