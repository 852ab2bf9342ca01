"""The agent: one program on each machine that keeps what containers said, and tells how they are.

It runs without the rest of handful, on the standard library; orjson and zstandard make it faster where they are there.
"""
