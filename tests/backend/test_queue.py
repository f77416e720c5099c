"""The job queue against a plain model of it, and its limits."""

import numpy as np
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from backend.jobs import queue
from backend.jobs.queue import JobQueue, QueueFull, ResultGone, UnknownJob
from protocol.messages import Cancelled, Done, Failed, Progress, Queued
from protocol.requests import RelevanceRequest, RelevanceResult, TrainSceneRequest

REQUEST = RelevanceRequest(image=np.zeros((2, 2, 3), np.uint8), instruction="x")
RESULT = RelevanceResult(
    relevance=np.zeros((2, 2), np.float32),
    spread=0.0,
    magnitude=1.0,
    suggested_threshold=0.5,
    evidence=1.0,
    applies=True,
)
ids = st.sampled_from([f"{n:032x}" for n in range(6)])
clients = st.sampled_from([b"a", b"b"])


class QueueMachine(RuleBasedStateMachine):
    """Random submits, cancels and ends; `states` is what must be true of each job."""

    def __init__(self):
        super().__init__()
        self.queue = JobQueue()
        self.states: dict[str, str] = {}  # insertion order is the order of submission
        self.order: list[str] = []

    @rule(job=ids, client=clients)
    def submit(self, job, client):
        known = job in self.states
        returned = self.queue.submit(job, REQUEST, client)
        assert client in returned.followers
        if not known:
            self.states[job] = "queued"
            self.order.append(job)

    @rule(job=ids)
    def cancel(self, job):
        if job not in self.states:
            with pytest.raises(UnknownJob):
                self.queue.cancel(job)
            return
        self.queue.cancel(job)
        if self.states[job] == "queued":
            self.states[job] = "cancelled"

    @rule()
    def start(self):
        waiting = [job for job in self.order if self.states[job] == "queued"]
        running = [job for job in self.order if self.states[job] == "running"]
        started = self.queue.start_next()
        if running or not waiting:
            assert started is None
        else:
            assert started is not None
            assert started.id == waiting[0]
            self.states[started.id] = "running"

    @rule(job=ids, end=st.sampled_from(["progress", "done", "failed", "cancelled"]))
    def worker_says(self, job, end):
        event = {
            "progress": Progress(job=job, stage="s", fraction=0.5),
            "done": Done(job=job, result=RESULT),
            "failed": Failed(job=job, code="internal", message="m"),
            "cancelled": Cancelled(job=job),
        }[end]
        changed = self.queue.record(event)
        if self.states.get(job) == "running":
            assert changed[0].event is event
            if end != "progress":
                self.states[job] = end
        else:
            assert changed == []

    @invariant()
    def events_tell_the_states(self):
        position = sum(state == "running" for state in self.states.values())
        for job in self.order:
            event = self.queue.follow(job, b"observer").event
            if self.states[job] == "queued":
                assert event == Queued(job=job, position=position)
                position += 1
            elif self.states[job] == "done":
                assert isinstance(event, Done)
            elif self.states[job] in ("failed", "cancelled"):
                assert type(event).__name__.lower() == self.states[job]
        unfinished = [job.id for job in self.queue.unfinished()]
        assert sorted(unfinished) == sorted(
            job for job, state in self.states.items() if state in ("queued", "running")
        )


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=60, stateful_step_count=40)


def test_queue_refuses_more_than_it_can_hold(monkeypatch):
    jobs = JobQueue()
    monkeypatch.setattr(queue, "MAX_QUEUED_JOBS", 2)
    for n in range(2):
        jobs.submit(f"{n:032x}", REQUEST, b"a")
    with pytest.raises(QueueFull):
        jobs.submit("f" * 32, REQUEST, b"a")
    monkeypatch.setattr(queue, "MAX_QUEUED_JOBS", 100)
    monkeypatch.setattr(queue, "MAX_QUEUED_BYTES", 3 * REQUEST.image.nbytes)
    jobs.submit("e" * 32, REQUEST, b"a")
    with pytest.raises(QueueFull):
        jobs.submit("d" * 32, REQUEST, b"a")
    assert jobs.start_next() is not None
    jobs.submit("d" * 32, REQUEST, b"a")


def test_only_the_last_results_are_kept(monkeypatch):
    monkeypatch.setattr(queue, "MAX_FINISHED_JOBS", 3)
    jobs = JobQueue()
    for n in range(5):
        jobs.submit(f"{n:032x}", REQUEST, b"a")
        jobs.start_next()
        jobs.record(Done(job=f"{n:032x}", result=RESULT))
    with pytest.raises(ResultGone):
        jobs.follow(f"{1:032x}", b"a")
    assert isinstance(jobs.follow(f"{2:032x}", b"a").event, Done)
    monkeypatch.setattr(queue, "MAX_FINISHED_BYTES", 1)
    jobs.submit("f" * 32, REQUEST, b"a")
    jobs.start_next()
    jobs.record(Done(job="f" * 32, result=RESULT))
    assert isinstance(jobs.follow("f" * 32, b"a").event, Done)  # the last one is always kept
    with pytest.raises(UnknownJob):
        jobs.follow(f"{4:032x}", b"a")


def test_a_slow_reader_learns_what_became_of_its_job_however_many_have_ended_since(monkeypatch):
    monkeypatch.setattr(queue, "MAX_REMEMBERED_JOBS", 5)
    jobs = JobQueue()
    first = f"{0:032x}"
    for n in range(queue.MAX_FINISHED_JOBS + 6):
        jobs.submit(f"{n:032x}", REQUEST, b"a")
        jobs.start_next()
        jobs.record(Done(job=f"{n:032x}", result=RESULT))
        if n == 500:
            assert isinstance(jobs.latest(first), Done)
        if n == queue.MAX_FINISHED_JOBS + 4:
            with pytest.raises(ResultGone):
                jobs.latest(first)
    with pytest.raises(UnknownJob) as unknown:
        jobs.latest(first)
    assert unknown.type is UnknownJob
    jobs.submit(f"{5:032x}", REQUEST, b"a")  # one whose result is gone is done anew
    assert isinstance(jobs.latest(f"{5:032x}"), Queued)


def test_gone_clients_are_forgotten_but_their_jobs_stay():
    jobs = JobQueue()
    jobs.submit("f" * 32, REQUEST, b"a")
    jobs.unfollow(b"a")
    assert jobs.follow("f" * 32, b"b").followers == {b"b"}


def test_captures_in_use_are_known_until_their_jobs_have_ended():
    jobs = JobQueue()
    scene = TrainSceneRequest(capture="a" * 32)
    first, second, other = (f"{n:032x}" for n in range(3))
    jobs.submit(first, scene, b"a")
    jobs.submit(other, TrainSceneRequest(capture="b" * 32), b"a")
    jobs.submit(second, scene, b"a")
    jobs.submit("f" * 32, REQUEST, b"a")
    assert jobs.knows(first)
    assert not jobs.knows("e" * 32)
    assert jobs.using(scene.capture) == (first, second)
    jobs.start_next()
    assert jobs.using(scene.capture) == (first, second)
    jobs.record(Cancelled(job=first))
    assert jobs.using(scene.capture) == (second,)
    jobs.cancel(second)
    assert jobs.using(scene.capture) == ()
    assert jobs.using("b" * 32) == (other,)
