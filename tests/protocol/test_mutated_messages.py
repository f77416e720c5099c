"""Damaged messages of every kind, a short run; bench_mutated_messages.py beside it has the long
one, and sends them to a real server too.
"""

from tests.protocol.bench_mutated_messages import decode_many


def test_damaged_messages_are_read_or_refused_and_nothing_else():
    figures = decode_many(6000, seed=2)
    assert 60 < figures["read all the same"] < 3000
    assert figures["MB more at most"] < 100
