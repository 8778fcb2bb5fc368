"""When a status may be written."""

from fluid_operator.jobs.pacing import PaceSettings, Pacing
from fluid_operator.kube.keys import ObjectKey

KEY = ObjectKey("ns", "a")


def pacing() -> Pacing:
    return Pacing(PaceSettings(hold=0.2, interval=1.0))


def test_the_first_change_is_held_and_a_later_one_rides_along():
    pace = pacing()
    assert round(pace.wait(KEY, "Queued", 10.0, first=True), 6) == 0.2
    assert round(pace.wait(KEY, "Running", 10.15, first=True), 6) == 0.05
    assert pace.wait(KEY, "Running", 10.2, first=True) == 0


def test_the_next_phase_is_held_again():
    pace = pacing()
    pace.wait(KEY, "Queued", 10.0, first=True)
    pace.written(KEY, "Queued", 10.2)
    assert round(pace.wait(KEY, "Running", 10.3, first=True), 6) == 0.2


def test_progress_is_written_once_a_second():
    pace = pacing()
    pace.written(KEY, "Running", 10.0)
    assert round(pace.wait(KEY, "Running", 10.3, first=True), 6) == 0.7
    assert pace.wait(KEY, "Running", 11.1, first=True) == 0


def test_retries_are_written_once_a_second():
    pace = pacing()
    pace.written(KEY, "Retrying", 10.0)
    assert round(pace.wait(KEY, "Running", 10.1, first=False), 6) == 0.9


def test_an_ended_object_is_forgotten():
    pace = pacing()
    pace.wait(KEY, "Queued", 10.0, first=True)
    pace.forget(KEY)
    assert len(pace) == 0
