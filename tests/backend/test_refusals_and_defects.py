"""What a person gave wrong is told in a sentence; a defect of the program is told as one, and keeps
its traceback.
"""

from types import SimpleNamespace

import numpy as np
import pytest

from backend import __main__ as command_line
from backend.captures.store import CaptureStore
from backend.commands import import_capture as commands
from backend.errors import BadInput
from backend.evaluation import relevance
from backend.evaluation.scenes import scene, views_check
from backend.jobs.scene_state import answer_scene
from backend.work_lock import InUse
from backend.worker import perform_scene
from backend.worker import process as worker
from protocol.messages import Failed, GetScene
from protocol.requests import RelevanceRequest, TrainSceneRequest

REQUEST = RelevanceRequest(image=np.zeros((8, 8, 3), np.uint8), instruction="make it red")
DEFECTS = [
    ValueError("operands could not be broadcast together"),
    KeyError("names"),
    RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
    TypeError("unsupported operand"),
]


class Line:
    """To a server that cancels nothing."""

    def is_cancelled(self, job):
        return False


def outcome(monkeypatch, error):
    """What the worker makes of a job that raises."""

    def perform(*arguments):
        raise error

    monkeypatch.setattr(worker, "perform", perform)
    failed = worker._do(None, None, Line(), "a" * 32, REQUEST)
    assert isinstance(failed, Failed)
    return failed.code, failed.message


@pytest.mark.parametrize("error", DEFECTS, ids=repr)
def test_defects_are_internal_and_logged_with_their_traceback(monkeypatch, caplog, error):
    code, message = outcome(monkeypatch, error)
    assert code == "internal"
    assert type(error).__name__ in message
    assert "see its log" in message
    (record,) = caplog.records
    assert record.exc_info is not None
    assert record.exc_info[1] is error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (BadInput("The mask is empty."), "bad_input"),
        (FloatingPointError("The predicted noise is not finite."), "bad_result"),
        (InUse("Another backend works on it."), "in_use"),
    ],
)
def test_refusals_are_told_as_they_are_without_a_traceback(monkeypatch, caplog, error, code):
    assert outcome(monkeypatch, error) == (code, str(error))
    assert all(record.exc_info is None for record in caplog.records)


@pytest.mark.parametrize("kind", [BadInput, ValueError])
def test_a_scenes_defects_are_not_taken_for_refusals(monkeypatch, tmp_path, kind):
    class Captures:
        def folder(self, capture):
            return tmp_path

    class Scene:
        @staticmethod
        def open(*arguments, **settings):
            raise kind(f"{tmp_path} is wrong")

    monkeypatch.setattr(perform_scene, "Scene", Scene)
    monkeypatch.setattr(perform_scene, "_device", lambda editor: "cpu")
    with pytest.raises(ValueError, match="is wrong") as caught:
        perform_scene.perform_scene(
            None, Captures(), TrainSceneRequest(capture="a" * 32), lambda *_: None
        )
    assert type(caught.value) is kind
    assert (str(caught.value) == "The capture is wrong") == (kind is BadInput)


def test_a_defect_in_an_answer_about_a_scene_is_not_told_as_a_bad_capture(monkeypatch, tmp_path):
    def state(*_):
        raise ValueError("a defect")

    monkeypatch.setattr(CaptureStore, "state", state)
    with pytest.raises(ValueError, match="a defect"):
        answer_scene(CaptureStore(tmp_path), GetScene(capture="a" * 32), ())


@pytest.mark.parametrize("module", [relevance, scene, views_check])
@pytest.mark.parametrize("error", [BadInput("a sentence"), ValueError("a defect")])
def test_commands_say_refusals_in_a_sentence_only(monkeypatch, capsys, tmp_path, module, error):
    options = SimpleNamespace(out=tmp_path)

    def fail(*arguments):
        raise error

    monkeypatch.setattr(module, "_run", fail)
    if isinstance(error, BadInput):
        assert module.run(options, []) == 1
        assert capsys.readouterr().err == "error: a sentence\n"
    else:
        with pytest.raises(ValueError, match="a defect"):
            module.run(options, [])


@pytest.mark.parametrize("error", [BadInput("a sentence"), ValueError("a defect")])
def test_scene_commands_say_refusals_in_a_sentence_only(monkeypatch, capsys, tmp_path, error):
    def fail(*arguments, **settings):
        raise error

    monkeypatch.setattr(commands, "open_capture", fail)
    (tmp_path / "transforms.json").write_text("{}")
    typed = ["scene", "import", str(tmp_path)]
    if isinstance(error, BadInput):
        assert command_line.main(typed) == 1
        assert "error: a sentence" in capsys.readouterr().err
    else:
        with pytest.raises(ValueError, match="a defect"):
            command_line.main(typed)
