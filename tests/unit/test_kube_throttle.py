"""The limits of our own requests: tokens for writes, a window that breathes, and who passes without being asked."""

import asyncio
import json
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from fluid_operator.kube.client import connect
from fluid_operator.kube.errors import NotLeader, TooManyRequests
from fluid_operator.kube.keys import CONFIG_MAPS, LEASES, ObjectKey
from fluid_operator.kube.throttle import Throttle, ThrottleSettings, TokenBucket, Window
from support.waiting import auntil

KEY = ObjectKey("default", "a")
ROOMY = ThrottleSettings(writes_per_second=0, in_flight=0)


# -- tokens


def test_a_bucket_gives_its_burst_at_once_and_then_its_rate():
    bucket = TokenBucket(rate=2, burst=3)
    assert [bucket.take(100.0) for _ in range(4)] == [True, True, True, False]
    assert [bucket.take(100.5), bucket.take(100.6)] == [True, False]


def test_a_bucket_never_holds_more_than_its_burst():
    bucket = TokenBucket(rate=2, burst=3)
    bucket.take(0.0)
    assert not bucket.full(0.0)
    assert bucket.full(1000.0)
    assert [bucket.take(1000.0) for _ in range(4)] == [True, True, True, False]


def test_reserved_tokens_come_one_after_the_other():
    bucket = TokenBucket(rate=10, burst=1)
    waits = [bucket.reserve(5.0) for _ in range(4)]
    assert waits == pytest.approx([0.0, 0.1, 0.2, 0.3])


@given(st.lists(st.floats(0, 3), min_size=1, max_size=60))
def test_a_bucket_gives_no_more_than_burst_and_rate_allow_in_any_time(pauses):
    bucket, now, given_at = TokenBucket(rate=2, burst=3), 0.0, []
    for pause in pauses:
        now += pause
        if bucket.take(now):
            given_at.append(now)
    for first, start in enumerate(given_at):
        for last, end in enumerate(given_at[first:], first):
            assert last - first + 1 <= 3 + 2 * (end - start) + 1e-6


# -- the window


async def test_those_who_wait_go_in_the_order_of_coming_and_never_too_many():
    window, order = Window(2), []

    async def visit(number: int) -> None:
        if not window.enter():
            await window.wait()
        assert window.used <= 2
        order.append(number)
        await asyncio.sleep(0)
        window.leave()

    await asyncio.gather(*(visit(number) for number in range(20)))
    assert order == list(range(20))
    assert window.used == 0


async def test_nobody_overtakes_those_who_wait():
    window = Window(1)
    assert window.enter()
    waiting = asyncio.create_task(window.wait())
    await asyncio.sleep(0)
    window.leave()
    assert not window.enter()
    await waiting
    window.leave()
    assert window.enter()


@pytest.mark.parametrize("in_the_same_moment", [False, True])
async def test_the_place_of_one_who_gives_up_goes_to_the_next(in_the_same_moment):
    window = Window(1)
    window.enter()
    gives_up, stays = (asyncio.create_task(window.wait()) for _ in range(2))
    await asyncio.sleep(0)
    if in_the_same_moment:
        window.leave()
    gives_up.cancel()
    await asyncio.gather(gives_up, return_exceptions=True)
    if not in_the_same_moment:
        window.leave()
    await asyncio.wait_for(stays, 5)
    window.leave()
    assert window.used == 0


@given(st.lists(st.sampled_from(["come", "leave", "give up", "refusal", "answer", "settle"]), max_size=80))
def test_whatever_happens_nobody_waits_while_there_is_room(moves):
    async def play() -> None:
        window, waiting, inside, now = Window(3), [], 0, 0.0
        for move in moves:
            now += 0.4
            if move == "come":
                if window.enter():
                    inside += 1
                else:
                    waiting.append(asyncio.create_task(window.wait()))
                    await asyncio.sleep(0)
            elif move == "leave" and inside:
                window.leave()
                inside -= 1
            elif move == "give up" and waiting:
                waiting[-1].cancel()
            elif move in ("refusal", "answer") and inside:
                window.answered(refused=move == "refusal", now=now)
                window.leave()
                inside -= 1
            if move != "settle":
                continue
            await asyncio.sleep(0)
            inside += sum(task.done() and not task.cancelled() for task in waiting)
            waiting = [task for task in waiting if not task.done()]
            assert window.used == inside
            assert not waiting or window.used >= window.limit
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)

    asyncio.run(play())


def test_a_refusal_halves_what_is_in_flight_once_for_each_second():
    window = Window(100)
    for _ in range(40):
        window.enter()
    window.answered(refused=True, now=10.0)
    assert window.limit == 20
    for _ in range(40):
        window.answered(refused=True, now=10.9)
    assert window.limit == 20
    window.answered(refused=True, now=11.0)
    assert window.limit == 10


def test_however_often_it_is_refused_one_request_remains_possible():
    window = Window(8)
    for second in range(20):
        window.answered(refused=True, now=float(second))
    assert window.enter()


def test_answers_open_the_window_again_to_what_it_was():
    window = Window(8)
    for _ in range(8):
        window.enter()
    window.answered(refused=True, now=0.0)
    assert window.limit == 4
    for _ in range(5):
        window.answered(refused=False, now=1.0)
    assert 4.9 < window.limit < 6
    for _ in range(100):
        window.answered(refused=False, now=2.0)
    assert window.limit == 8


# -- the client


class Server:
    """Answers everything, each request only when it is told to; counts who is there."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.here = 0
        self.most = 0
        self.seen: list[str] = []
        self.refuse = False

    async def handle(self, request: web.Request) -> web.Response:
        self.here += 1
        self.most = max(self.most, self.here)
        self.seen.append(f"{request.method} {request.path.rsplit('/', 2)[-2]}")
        try:
            if "leases" not in request.path:
                await self.go.wait()
            if self.refuse:
                return web.json_response({"code": 429, "reason": "TooManyRequests"}, status=429)
            return web.json_response({"metadata": {}})
        finally:
            self.here -= 1


@asynccontextmanager
async def served(folder, throttle):
    server = Server()
    runner = web.ServerRunner(web.Server(server.handle), shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    path = folder / "kubeconfig"
    config = {
        "current-context": "it",
        "clusters": [{"name": "it", "cluster": {"server": f"http://127.0.0.1:{runner.addresses[0][1]}"}}],
        "contexts": [{"name": "it", "context": {"cluster": "it", "user": "it"}}],
        "users": [{"name": "it", "user": {}}],
    }
    path.write_text(json.dumps(config))
    try:
        async with connect(path, throttle=throttle) as kube:
            yield server, kube
    finally:
        server.go.set()
        await runner.cleanup()


async def test_reads_and_writes_together_stay_within_the_window_but_the_lease_passes(tmp_path):
    throttle = Throttle(ThrottleSettings(in_flight=3))
    async with served(tmp_path, throttle) as (server, kube):
        reads = [asyncio.create_task(kube.get(CONFIG_MAPS, KEY)) for _ in range(6)]
        writes = [asyncio.create_task(kube.patch(CONFIG_MAPS, KEY, {})) for _ in range(6)]
        await auntil(lambda: server.here == 3, 10, "three requests are under way")
        await kube.get(LEASES, KEY)
        await kube.update(LEASES, {"metadata": {"name": "a", "namespace": "default"}})
        assert throttle.in_flight == server.here == 3
        server.go.set()
        await asyncio.gather(*reads, *writes)
    assert server.most <= 4  # three and the Lease's
    assert throttle.in_flight == 0


async def test_writes_beyond_the_burst_come_at_the_rate_and_reads_do_not_wait(tmp_path):
    waits: list[float] = []
    throttle = Throttle(ThrottleSettings(writes_per_second=50, burst=5, in_flight=0), waited=waits.append)
    async with served(tmp_path, throttle) as (server, kube):
        server.go.set()
        await asyncio.gather(*(kube.patch(CONFIG_MAPS, KEY, {}) for _ in range(5)))
        await asyncio.gather(*(kube.get(CONFIG_MAPS, KEY) for _ in range(20)))
        assert waits == []
        await asyncio.gather(*(kube.patch(CONFIG_MAPS, KEY, {}) for _ in range(5)))
    assert waits
    assert sorted(waits) == waits


async def test_a_refusal_by_the_server_narrows_the_window(tmp_path):
    throttle = Throttle(ThrottleSettings(in_flight=8))
    async with served(tmp_path, throttle) as (server, kube):
        server.refuse = True
        asked = [asyncio.create_task(kube.get(CONFIG_MAPS, KEY)) for _ in range(8)]
        await auntil(lambda: server.here == 8, 10, "eight requests are under way")
        server.go.set()
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert all(isinstance(answer, TooManyRequests) for answer in answers)
        assert throttle.limit == 4
        server.refuse = False
        await asyncio.gather(*(kube.get(CONFIG_MAPS, KEY) for _ in range(60)))
        assert throttle.limit == 8


async def test_a_write_that_had_to_wait_is_not_sent_by_one_who_leads_no_more(tmp_path):
    leads = True

    def check() -> None:
        if not leads:
            raise NotLeader("default/it", "me")

    throttle = Throttle(ThrottleSettings(in_flight=1))
    async with served(tmp_path, throttle) as (server, kube):
        first = asyncio.create_task(kube.get(CONFIG_MAPS, KEY))
        await auntil(lambda: server.here == 1, 10, "a request is under way")
        second = asyncio.create_task(kube.guarded(check).patch(CONFIG_MAPS, KEY, {}))
        await asyncio.sleep(0)
        leads = False
        server.go.set()
        await first
        with pytest.raises(NotLeader):
            await second
    assert server.seen == ["GET configmaps"]
    assert throttle.in_flight == 0


async def test_without_limits_nothing_waits(tmp_path):
    throttle = Throttle(ROOMY)
    async with served(tmp_path, throttle) as (server, kube):
        asked = [asyncio.create_task(kube.patch(CONFIG_MAPS, KEY, {})) for _ in range(30)]
        await auntil(lambda: server.here == 30, 10, "all requests are under way")
        server.go.set()
        await asyncio.gather(*asked)
