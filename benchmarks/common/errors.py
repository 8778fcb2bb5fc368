"""What can go wrong while something is measured.

BenchmarkError
├── GoalError     goals.yaml holds what cannot be judged; `goal` names the entry
└── SideFailed    a side's process ended, or did not do what it was asked in time; `side` and the end of its log
"""


class BenchmarkError(Exception):
    """Base of all errors of the benchmarks."""


class GoalError(BenchmarkError):
    def __init__(self, goal: str, problem: str) -> None:
        super().__init__(f"goals.yaml, {goal}: {problem}")
        self.goal = goal


class SideFailed(BenchmarkError):
    def __init__(self, side: str, problem: str, tail: str) -> None:
        super().__init__(f"{side}: {problem}; the end of its log:\n{tail}")
        self.side = side
        self.tail = tail
