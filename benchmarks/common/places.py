"""Where things of the benchmarks lie."""

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
OUT = CHECKOUT / "benchmarks" / "out"
"""Results of runs; not under version control."""
