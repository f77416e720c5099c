"""The server's jobs: those that wait, the one that runs, and the last ones that have ended.

Plain data without sockets. Every method that changes jobs returns those whose latest event is
new, so that the server can tell their followers.
"""

from dataclasses import dataclass, field

from protocol.codec import array_bytes
from protocol.messages import Cancelled, FinalEvent, JobEvent, Progress, Queued
from protocol.requests import Request, SceneRequest

MAX_QUEUED_JOBS = 256
MAX_QUEUED_BYTES = 2 * 1024**3
MAX_FINISHED_JOBS = 1000
MAX_FINISHED_BYTES = 1024**3
"""Of results that are kept for those who ask for them later, or have not read for a while."""
MAX_REMEMBERED_JOBS = 10_000
"""Of which it is known only that they have ended."""


class QueueFull(RuntimeError):
    """No more jobs fit; the text says so to a person."""


class UnknownJob(KeyError):
    """No job of this id is kept."""


class ResultGone(UnknownJob):
    """The job of this id has ended so long ago that what came of it is not kept any more."""


@dataclass
class Job:
    """One job and who follows it.

    Attributes:
        id: 32 hexadecimal digits, chosen by the client.
        request: what to do; None once it has ended.
        event: the latest event, sent to whoever begins to follow.
        size: bytes of arrays, in the request until it has ended and then in its result.
        followers: ZeroMQ identities of the clients to tell.
    """

    id: str
    request: Request | None
    event: JobEvent
    size: int
    followers: set[bytes] = field(default_factory=set)


class JobQueue:
    """First come, first served; one job runs at a time."""

    def __init__(self) -> None:
        self._jobs: dict[str, Job] = {}  # in the order in which they came
        self._waiting: list[Job] = []
        self._finished: list[Job] = []
        self._remembered: dict[str, None] = {}  # ids, in the order in which they were let go
        self.running: Job | None = None

    def submit(self, job_id: str, request: Request, follower: bytes) -> Job:
        """Add a job, or follow the one that has this id already.

        Raises:
            QueueFull: too many jobs, or too many bytes of images, are waiting.
        """
        if job_id in self._jobs:
            return self.follow(job_id, follower)
        size = array_bytes(request)
        if (
            len(self._waiting) >= MAX_QUEUED_JOBS
            or sum(job.size for job in self._waiting) + size > MAX_QUEUED_BYTES
        ):
            raise QueueFull("The backend's queue is full: wait until some jobs are done.")
        position = len(self._waiting) + (self.running is not None)
        job = Job(job_id, request, Queued(job=job_id, position=position), size, {follower})
        self._jobs[job_id] = job
        self._remembered.pop(job_id, None)
        self._waiting.append(job)
        return job

    def follow(self, job_id: str, follower: bytes) -> Job:
        """Add a follower.

        Raises:
            UnknownJob: no job of this id is kept; ResultGone where there was one.
        """
        job = self._find(job_id)
        job.followers.add(follower)
        return job

    def latest(self, job_id: str) -> JobEvent:
        """The latest event of a job.

        Raises:
            UnknownJob: no job of this id is kept; ResultGone where there was one.
        """
        return self._find(job_id).event

    def unfollow(self, follower: bytes) -> None:
        """Forget a client that has gone; its jobs go on."""
        for job in self._jobs.values():
            job.followers.discard(follower)

    def cancel(self, job_id: str) -> list[Job]:
        """Cancel a job that waits. One that runs is the worker's to stop, and one that has ended
        stays as it is.

        Raises:
            UnknownJob: no job of this id is kept.
        """
        job = self._find(job_id)
        if job not in self._waiting:
            return []
        self._waiting.remove(job)
        self._finish(job, Cancelled(job=job_id))
        return [job, *self._renumber()]

    def start_next(self) -> Job | None:
        """Take the next job for the worker, or None where one runs already or none waits."""
        if self.running is not None or not self._waiting:
            return None
        self.running = self._waiting.pop(0)
        return self.running

    def record(self, event: Progress | FinalEvent) -> list[Job]:
        """Note what the worker says of the job that runs. Words about other jobs come too late
        and change nothing.
        """
        job = self.running
        if job is None or job.id != event.job:
            return []
        if isinstance(event, Progress):
            job.event = event
            return [job]
        self.running = None
        self._finish(job, event)
        return [job, *self._renumber()]

    def knows(self, job_id: str) -> bool:
        """Whether a job of this id is kept."""
        return job_id in self._jobs

    def using(self, capture: str) -> tuple[str, ...]:
        """Ids of the jobs that work on a capture and have not ended, the first to be done first."""
        return tuple(
            job.id
            for job in self.unfinished()
            if isinstance(job.request, SceneRequest) and job.request.capture == capture
        )

    def unfinished(self) -> list[Job]:
        """The job that runs and those that wait."""
        return ([self.running] if self.running else []) + self._waiting

    def _find(self, job_id: str) -> Job:
        try:
            return self._jobs[job_id]
        except KeyError:
            kind = ResultGone if job_id in self._remembered else UnknownJob
            raise kind(job_id) from None

    def _finish(self, job: Job, event: FinalEvent) -> None:
        job.event, job.request, job.size = event, None, array_bytes(event)
        self._finished.append(job)
        while len(self._finished) > 1 and (
            len(self._finished) > MAX_FINISHED_JOBS
            or sum(done.size for done in self._finished) > MAX_FINISHED_BYTES
        ):
            gone = self._finished.pop(0).id
            del self._jobs[gone]
            self._remembered[gone] = None
        while len(self._remembered) > MAX_REMEMBERED_JOBS:
            del self._remembered[next(iter(self._remembered))]

    def _renumber(self) -> list[Job]:
        """Bring the positions of the waiting jobs up to date; returns those that moved."""
        moved = []
        for position, job in enumerate(self._waiting, start=int(self.running is not None)):
            event = Queued(job=job.id, position=position)
            if job.event != event:
                job.event = event
                moved.append(job)
        return moved
