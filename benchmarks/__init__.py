"""Side-by-side measurements, run by hand: ``python -m benchmarks [measure ...]``.

Each figure is a ratio against a baseline of the same run, so that a slower or busier machine moves both sides.
"""
