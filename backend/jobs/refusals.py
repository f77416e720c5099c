"""What clients are told where a message about a job cannot be served."""

from backend.jobs.queue import ResultGone, UnknownJob
from protocol.messages import Error
from protocol.requests import (
    EditSceneRequest,
    MeshViews,
    Request,
    SceneMeshRequest,
    SceneRenderRequest,
    TrainSceneRequest,
)
from protocol.text import readable


def defect(error: Exception, about: str | None) -> Error:
    """Of a defect of this program, with the job or capture that the message was about."""
    kind = type(error).__name__
    words = readable(f"The backend failed on this message ({kind}: {error}); see its log.")
    return Error(code="internal", message=words, job=about)


def what_may_help(request: Request | None) -> str:
    """What to do with a request that has ended the worker, perhaps for want of memory."""
    if isinstance(request, TrainSceneRequest | EditSceneRequest):
        return "send it again, and it goes on from its last checkpoint"
    if isinstance(request, SceneMeshRequest):
        return "try fewer faces, or a smaller texture"
    if isinstance(request, SceneRenderRequest):
        return "try fewer or smaller frames"
    if isinstance(request, MeshViews):
        return "try smaller views, or a smaller texture"
    return "try a smaller image"


def unknown(job: str, why: UnknownJob) -> Error:
    """Of a job that is not kept."""
    if isinstance(why, ResultGone):
        words = (
            "This job has ended, but what came of it is not kept any more, as others have ended "
            "since: start it again."
        )
        return Error(code="result_gone", message=words, job=job)
    words = "The backend does not know this job (any more): start it again."
    return Error(code="unknown_job", message=words, job=job)
