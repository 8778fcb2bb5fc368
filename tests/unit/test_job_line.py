"""The line of jobs that a queue takes no more of for now: by age, nobody forgotten, nobody in the way."""

from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.jobs.line import CreationLine, Place
from fluid_operator.kube.keys import ObjectKey

PLACE = Place(ObjectKey("team-a", "default"), "mail")


def key(name: str) -> ObjectKey:
    return ObjectKey("team-a", name)


def line_of(*names: str) -> tuple[CreationLine, list[str]]:
    """A line in which these wait, the oldest first, and the names of those that it wakes."""
    woken: list[str] = []
    line = CreationLine(lambda each: woken.append(each.name))
    for age, name in enumerate(names):
        line.wait(PLACE, key(name), float(age))
    return line, woken


def test_without_a_line_everybody_may_try():
    line, _ = line_of()
    assert line.may_try(PLACE, key("a"), 1.0)
    assert len(line) == 0


def test_the_oldest_may_try_and_whoever_comes_later_wakes_it_and_waits():
    line, woken = line_of("a")
    assert not line.may_try(PLACE, key("b"), 1.0)
    assert woken == ["a"]
    assert line.may_try(PLACE, key("a"), 0.0)


def test_an_older_job_that_comes_late_is_first():
    line, _ = line_of("a")
    assert line.may_try(PLACE, key("older"), -1.0)


def test_whoever_gets_in_calls_the_next_two():
    line, woken = line_of("a", "b", "c", "d")
    line.admitted(key("a"))
    assert woken == ["b", "c"]
    assert line.may_try(PLACE, key("c"), 2.0)
    assert not line.may_try(PLACE, key("d"), 3.0)


def test_who_was_called_too_early_goes_back_to_its_place():
    line, woken = line_of("a", "b", "c", "d")
    line.admitted(key("a"))
    line.wait(PLACE, key("b"), 1.0)
    assert not line.may_try(PLACE, key("c"), 2.0)
    assert woken == ["b", "c", "b"]
    line.admitted(key("b"))
    assert woken == ["b", "c", "b", "c", "d"]


def test_when_nobody_is_called_whoever_looks_again_wakes_the_oldest():
    """The one that was told when to try again may not be the oldest any more."""
    line, woken = line_of("b")
    assert line.may_try(PLACE, key("b"), 0.0)
    assert not line.may_try(PLACE, key("older"), -1.0)
    line.wait(PLACE, key("b"), 0.0)
    assert not line.may_try(PLACE, key("b"), 0.0)
    assert woken == ["older"]


def test_who_leaves_when_it_was_its_turn_passes_it_on_and_who_waits_further_back_does_not():
    line, woken = line_of("a", "b", "c")
    line.leave(key("c"))
    assert woken == []
    line.leave(key("a"))
    assert woken == ["b"]
    line.leave(key("b"))
    assert (woken, len(line)) == (["b"], 0)


def test_queues_do_not_wait_for_each_other():
    line, _ = line_of("a")
    assert line.may_try(PLACE._replace(queue="other"), key("b"), 1.0)


def test_who_goes_to_another_queue_passes_its_turn_on():
    line, woken = line_of("a", "b", "c")
    line.leave(key("a"))
    line.wait(PLACE._replace(queue="other"), key("b"), 1.0)
    assert woken == ["b", "c"]


@given(st.permutations(range(12)), st.integers(1, 4))
def test_everybody_gets_in_by_age_give_or_take_one(ages, room):
    """A queue that lets so many in at a time: whoever was called and finds no room goes back, and is called again."""
    woken: list[ObjectKey] = []
    line = CreationLine(woken.append)
    for age in ages:
        line.wait(PLACE, key(f"{age:02}"), float(age))
    got_in: list[int] = []
    to_look = [key("00")]
    while to_look:
        free = room
        for each in to_look:
            if int(each.name) in got_in or not line.may_try(PLACE, each, float(each.name)):
                continue
            if free:
                free -= 1
                got_in.append(int(each.name))
                line.admitted(each)
            else:
                line.wait(PLACE, each, float(each.name))
                woken.append(each)  # it was told when to try again
        to_look, woken[:] = list(woken), []
    assert sorted(got_in) == list(range(12))
    assert all(abs(place - age) <= 1 for place, age in enumerate(got_in))
