"""The table of `fluid get`, as text at two widths."""

from rich.console import Console

from fluid_cli.columns import lines, widths_of
from fluid_cli.job_table import by_age, header, reason_of, row
from support.cli_jobs import NOON, cli_job

JOBS = [
    cli_job("welcome", "Succeeded", attempts=1, durationMilliseconds=1240, queue="email", environment="default"),
    cli_job(
        "hopeless",
        "Failed",
        reason="BackoffLimitExceeded",
        message="failed after 3 attempts: SMTPAuthenticationError: the server\nsays no to this password",
        attempts=3,
        worker="worker-7f9c",
        queue="email",
        environment="default",
    ),
]


def text(*, wide=False, namespaces=False, width=None):
    rows = [header(wide=wide, namespaces=namespaces)]
    rows += [row(job, NOON, wide=wide, namespaces=namespaces) for job in JOBS]
    console = Console(width=width or 1000, color_system=None)
    with console.capture() as capture:
        for line in lines(rows, widths_of(rows), width):
            console.print(line, soft_wrap=True)
    return capture.get()


def test_the_table_shows_what_matters_in_80_columns():
    want = (
        "NAME       TYPE    PHASE       ATTEMPTS   DURATION   AGE   REASON\n"
        "welcome    email   Succeeded   1          1.2s       60s\n"
        "hopeless   email   Failed      3          -          60s   BackoffLimitExceeded\n"
    )
    assert text(width=80) == want


def test_the_wide_table_cuts_only_the_message_in_120_columns():
    found = text(wide=True, width=120).splitlines()
    assert found[2].endswith("worker-7f9c   -          failed after …")
    assert max(map(len, found)) == 120


def test_without_a_terminal_nothing_is_cut_and_a_message_stays_one_line():
    found = text(wide=True).splitlines()
    assert len(found) == 3
    assert found[2].endswith("the server says no to this password")


def test_a_job_of_a_schedule_names_it():
    job = cli_job("nightly-htea0", "Succeeded")
    job.raw["metadata"]["labels"] = {"jobs.fluidcalendar.com/schedule": "nightly"}
    cells = dict(
        zip(map(str, header(wide=True, namespaces=False)), row(job, NOON, wide=True, namespaces=False), strict=True)
    )
    assert str(cells["SCHEDULE"]) == "nightly"


def test_the_namespace_comes_first_where_there_are_several():
    assert text(namespaces=True).splitlines()[1].startswith("team        welcome")


def test_a_running_job_shows_how_far_it_is():
    job = cli_job(phase="Running", progress={"percent": 40, "message": "sending"}, startTime="2026-11-24T11:59:50Z")
    assert reason_of(job) == "40 %"
    assert job.seconds(NOON) == 10


def test_a_job_that_goes_away_says_so():
    assert reason_of(cli_job(phase="Succeeded", deleting=True)) == "Deleting"


def test_further_rows_keep_the_columns_of_the_first():
    first = widths_of([header(wide=False, namespaces=False), row(JOBS[1], NOON, wide=False, namespaces=False)])
    later = widths_of([row(JOBS[0], NOON, wide=False, namespaces=False)], first)
    assert later[0] == len("hopeless")


def test_the_newest_job_is_last():
    older, newer = cli_job("b"), cli_job("a")
    newer.raw["metadata"]["creationTimestamp"] = "2026-11-24T11:59:59Z"
    assert [job.name for job in by_age([newer, older])] == ["b", "a"]
