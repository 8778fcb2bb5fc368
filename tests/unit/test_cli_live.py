"""The live line of `fluid run --wait`."""

from fluid_cli.live import live_line, state_text
from support.cli_jobs import NOON, cli_job

RETRYING = cli_job(phase="Retrying", message="attempt 1 failed: SMTPError: " + "the mailbox is busy, " * 5)


def test_a_job_that_waits_says_for_what():
    job = cli_job(phase="Queued", reason="QueuePaused", message="queue email is paused")
    assert state_text(job).plain == "mail  Queued (QueuePaused)  queue email is paused"


def test_progress_takes_the_place_of_the_message():
    job = cli_job(phase="Running", message="attempt 1 runs on w1", progress={"percent": 40, "message": "sending"})
    assert state_text(job).plain == "mail  Running  40 % sending"


def test_the_live_line_fits_into_the_terminal_and_keeps_the_time():
    line = live_line(RETRYING, NOON, 80)
    assert line.cell_len == 80
    assert line.plain.endswith("…  60s")
