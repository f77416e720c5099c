"""Messages of 3D work: what they refuse, and that they survive the wire bit for bit."""

import math
from functools import partial
from typing import get_args

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from protocol import codec, requests
from protocol.corrections import PaintedView
from protocol.messages import (
    Cancelled,
    Done,
    EditState,
    FieldState,
    GetScene,
    SceneState,
    Submit,
    UndoSceneEdit,
)
from protocol.requests import (
    EditSceneRequest,
    EditSceneResult,
    SceneMeshRequest,
    SceneMeshResult,
    ScenePicture,
    SceneRenderRequest,
    SceneRenderResult,
    SceneTextureRequest,
    SceneTextureResult,
    TextureRelevanceRequest,
    TextureRelevanceResult,
    TextureRequest,
    TextureResult,
    TrainSceneRequest,
    TrainSceneResult,
)
from protocol.values import MAX_EDITS, MAX_LISTED_INSTRUCTION, Detail, Snap
from tests.protocol.flat import flat
from tests.protocol.test_codec import copied, instructions, same

ID = "0123456789abcdef" * 2
unit = st.floats(0, 1)
counts = st.integers(1, 5)
sides = st.tuples(st.integers(1, 7), st.integers(1, 7))
seeds = st.integers(0, 2**63 - 1)
names = st.from_regex("[a-z0-9][a-z0-9_-]{0,63}", fullmatch=True)
ids = st.from_regex("[0-9a-f]{32}", fullmatch=True)
words = instructions
notes = st.lists(st.text(st.characters(codec="utf-8"), max_size=20), max_size=2).map(tuple)
guidances = st.none() | st.floats(0, 100)


def numbers(dtype, shape):
    width = 8 * np.dtype(dtype).itemsize
    elements = st.floats(allow_nan=False, allow_infinity=False, width=width)
    return hnp.arrays(dtype, shape, elements=elements)


def relevances(shape):
    return hnp.arrays(np.float32, shape, elements=st.floats(0, 1, width=32))


@st.composite
def mesh_views(draw):
    faces, others, views = draw(counts), draw(st.integers(0, 3)), draw(counts)
    real = draw(st.sampled_from([np.float32, np.float64]))
    return {
        "corners": draw(numbers(real, (faces, 3, 3))),
        "uvs": draw(numbers(real, (faces, 3, 2))),
        "occluders": draw(numbers(real, (others, 3, 3))),
        "texture": draw(hnp.arrays(np.uint8, (*draw(sides), draw(st.sampled_from([3, 4]))))),
        "views": draw(hnp.arrays(np.uint8, (views, *draw(sides), 3))),
        "intrinsics": (draw(st.floats(0.1, 1e4)), draw(st.floats(0.1, 1e4)), 3.0, -2.5),
        "camera_to_world": draw(numbers(real, (views, 4, 4))),
        "lit": draw(st.booleans()),
    }


@st.composite
def texture_requests(draw):
    mesh = draw(mesh_views())
    labels = hnp.arrays(np.int32, (len(mesh["corners"]),), elements=st.integers(0, 2**31 - 1))
    return flat(
        TextureRequest,
        **mesh,
        things=draw(st.none() | labels),
        mask=draw(st.none() | hnp.arrays(np.bool_, mesh["texture"].shape[:2])),
        snap=draw(st.sampled_from(get_args(Snap))),
        detail=draw(st.sampled_from(get_args(Detail))),
        rim=draw(st.floats(0, 256)),
        instruction=draw(words),
        threshold=draw(st.none() | unit),
        relevance_seeds=tuple(draw(st.lists(seeds, min_size=1, max_size=4))),
        text_guidance=draw(guidances),
        image_guidance=draw(guidances),
        steps=draw(st.integers(1, 1000)),
        rounds=draw(st.integers(1, 20)),
        seed=draw(seeds),
    )


@st.composite
def texture_relevance_requests(draw):
    mesh = draw(mesh_views())
    labels = hnp.arrays(np.int32, (len(mesh["corners"]),), elements=st.integers(0, 2**31 - 1))
    return flat(
        TextureRelevanceRequest,
        **mesh,
        things=draw(st.none() | labels),
        instruction=draw(words),
        noise_level=draw(st.floats(0.1, 1.0)),
    )


@st.composite
def scene_texture_requests(draw):
    mesh = draw(mesh_views())
    labels = hnp.arrays(np.int32, (len(mesh["corners"]),), elements=st.integers(0, 2**31 - 1))
    return flat(
        SceneTextureRequest,
        **mesh,
        things=draw(st.none() | labels),
        snap=draw(st.sampled_from(get_args(Snap))),
        capture=draw(ids),
        edit=draw(names),
        threshold=draw(st.none() | unit),
    )


@st.composite
def render_requests(draw):
    count = draw(counts)
    lenses = hnp.arrays(np.float64, (count, 4), elements=st.floats(0.1, 1e4))
    return SceneRenderRequest(
        capture=draw(ids),
        edit=draw(st.none() | names),
        width=draw(st.integers(1, 8192)),
        height=draw(st.integers(1, 500)),
        intrinsics=draw(lenses),
        camera_to_world=draw(numbers(np.float64, (count, 4, 4))),
    )


@st.composite
def painted_views(draw):
    return PaintedView(
        painted=draw(hnp.arrays(np.uint8, draw(sides), elements=st.integers(0, 2))),
        fx=draw(st.floats(0.1, 1e4)),
        fy=draw(st.floats(0.1, 1e4)),
        cx=draw(st.floats(-1e4, 1e4)),
        cy=2.5,
        camera_to_world=tuple(draw(numbers(np.float64, (16,))).tolist()),
    )


scene_requests = st.one_of(
    scene_texture_requests(),
    render_requests(),
    st.builds(
        partial(flat, TrainSceneRequest),
        capture=ids,
        preset=st.sampled_from(["preview", "medium", "full"]),
        iterations=st.none() | st.integers(1, 10**6),
        seed=seeds,
        anew=st.booleans(),
    ),
    st.builds(
        partial(flat, EditSceneRequest),
        capture=ids,
        name=names,
        instruction=words,
        preset=st.sampled_from(["preview", "medium", "full", "paper"]),
        threshold=st.none() | st.floats(0.001, 1),
        text_guidance=guidances,
        image_guidance=guidances,
        steps=st.integers(1, 1000),
        iterations=st.none() | st.integers(1, 10**6),
        seed=seeds,
        relevance=st.booleans(),
        snap=st.none() | st.sampled_from(get_args(Snap)),
        detail=st.none() | st.sampled_from(get_args(Detail)),
        base=st.none() | names,
        painted=st.lists(painted_views(), max_size=3).map(tuple),
    ),
    st.builds(
        partial(flat, SceneMeshRequest),
        capture=ids,
        edit=st.none() | names,
        faces=st.none() | st.integers(4, 10**6),
        texture_size=st.integers(16, 8192),
    ),
)


@given(texture_requests() | texture_relevance_requests() | scene_requests)
def test_requests_survive_the_wire(request_):
    message = Submit(job=ID, request=request_)
    assert same(codec.decode_client_message(copied(codec.encode(message))), message)


@st.composite
def texture_results(draw):
    size = draw(sides)
    return draw(st.sampled_from([TextureResult, SceneTextureResult]))(
        texture=draw(hnp.arrays(np.uint8, (*size, draw(st.sampled_from([3, 4]))))),
        relevance=draw(st.none() | relevances(size)),
        region=draw(hnp.arrays(np.bool_, size)),
        threshold=draw(st.none() | unit),
        applies=draw(st.none() | st.booleans()),
        edited_share=draw(unit),
        rerender_difference=draw(st.none() | unit),
        notes=draw(notes),
    )


@st.composite
def texture_relevance_results(draw):
    size = draw(sides)
    return TextureRelevanceResult(
        relevance=draw(relevances(size)),
        edges=draw(relevances(size)),
        things=draw(st.none() | relevances(size)),
        of_things=draw(st.sampled_from(["pieces", ""])),
        suggested_threshold=draw(unit),
        applies=draw(st.none() | st.booleans()),
        seen_share=draw(unit),
        notes=draw(notes),
    )


@st.composite
def pictures(draw):
    size = draw(sides)
    return ScenePicture(
        view=draw(words),
        before=draw(hnp.arrays(np.uint8, (*size, 3))),
        after=draw(hnp.arrays(np.uint8, (*size, 3))),
        relevance=draw(st.none() | relevances(size)),
    )


@st.composite
def mesh_results(draw):
    vertices, faces, size = draw(counts), draw(counts), draw(st.integers(1, 7))
    return SceneMeshResult(
        vertices=draw(numbers(np.float64, (vertices, 3))),
        faces=draw(hnp.arrays(np.int32, (faces, 3), elements=st.integers(0, vertices - 1))),
        uvs=draw(numbers(np.float32, (faces, 3, 2))),
        texture=draw(hnp.arrays(np.uint8, (size, size, 3))),
        edited_texture=draw(st.none() | hnp.arrays(np.uint8, (size, size, 3))),
        relevance_texture=draw(st.none() | relevances((size, size))),
        threshold=draw(st.none() | unit),
        notes=draw(notes),
    )


results = st.one_of(
    texture_results(),
    texture_relevance_results(),
    mesh_results(),
    st.builds(
        SceneRenderResult,
        frames=st.tuples(counts, sides).flatmap(
            lambda size: hnp.arrays(np.uint8, (size[0], *size[1], 3))
        ),
        notes=notes,
    ),
    st.builds(
        TrainSceneResult,
        steps=st.integers(0, 10**6),
        held_out_psnr=st.none() | st.floats(-10, 120),
        seconds=st.floats(0, 1e6),
        preview=sides.flatmap(lambda size: hnp.arrays(np.uint8, (*size, 3))),
        notes=notes,
    ),
    st.builds(
        EditSceneResult,
        name=names,
        threshold=st.none() | unit,
        applies=st.none() | st.booleans(),
        edited_views=st.integers(0, 10**6),
        pictures=st.lists(pictures(), max_size=4).map(tuple),
        edited_share=st.none() | unit,
        change_inside=st.none() | unit,
        change_outside=st.none() | unit,
        left_out_count=st.integers(0, 2000),
        left_out=st.lists(st.text(max_size=20), max_size=100).map(tuple),
        notes=notes,
    ),
)


def arrays_in(value):
    """All arrays in a struct, however deep."""
    if isinstance(value, np.ndarray):
        return [value]
    if isinstance(value, msgspec.Struct):
        value = [getattr(value, name) for name in value.__struct_fields__]
    return [a for one in value for a in arrays_in(one)] if isinstance(value, list | tuple) else []


@given(results)
def test_results_survive_the_wire_and_their_bytes_are_counted(result):
    message = Done(job=ID, result=result)
    assert same(codec.decode_server_message(copied(codec.encode(message))), message)
    assert codec.array_bytes(message) == sum(array.nbytes for array in arrays_in(result))


states = st.builds(
    SceneState,
    capture=ids,
    views=st.integers(0, 2000),
    sealed=st.booleans(),
    field=st.none()
    | st.builds(
        FieldState,
        steps=st.integers(0, 10**6),
        iterations=st.integers(0, 10**6),
        finished=st.booleans(),
        held_out_psnr=st.none() | st.floats(-10, 120),
    ),
    edits=st.lists(
        st.builds(
            EditState,
            name=names,
            instruction=words,
            base=st.none() | names,
            finished=st.booleans(),
            threshold=st.none() | unit,
        ),
        max_size=3,
    ).map(tuple),
    jobs=st.lists(ids, max_size=3).map(tuple),
)


@given(states)
def test_states_survive_the_wire(state):
    assert codec.decode_server_message(copied(codec.encode(state))) == state


def test_the_longest_state_fits_into_a_message():
    edit = EditState(
        name="x" * 64,
        instruction="𝄞" * MAX_LISTED_INSTRUCTION,
        base="y" * 64,
        finished=True,
        threshold=0.123456789,
    )
    state = SceneState(
        capture=ID, views=2000, sealed=True, field=None, edits=(edit,) * MAX_EDITS, jobs=(ID,) * 256
    )
    assert codec.decode_server_message(copied(codec.encode(state))) == state


def test_messages_about_scenes_survive_the_wire():
    for message in (GetScene(capture=ID), UndoSceneEdit(capture=ID, edit="red-ball")):
        assert codec.decode_client_message(copied(codec.encode(message))) == message
    ended = Cancelled(job=ID, message="Step 3 is kept.")
    assert codec.decode_server_message(copied(codec.encode(ended))) == ended


# ------------------------------------------------------------------ what must not pass

EDIT = flat(EditSceneRequest, capture=ID, name="red", instruction="make it red")
TRAIN = flat(TrainSceneRequest, capture=ID)
MESH = flat(SceneMeshRequest, capture=ID)
MESH_VIEWS = {
    "corners": np.zeros((2, 3, 3)),
    "uvs": np.zeros((2, 3, 2), np.float32),
    "occluders": np.zeros((0, 3, 3)),
    "texture": np.zeros((4, 4, 4), np.uint8),
    "views": np.zeros((3, 5, 6, 3), np.uint8),
    "intrinsics": (5.0, 5.0, 3.0, 2.5),
    "camera_to_world": np.zeros((3, 4, 4)),
    "lit": True,
}
TEXTURE = flat(TextureRequest, **MESH_VIEWS, instruction="make it red")
TEXTURE_MAP = TextureRelevanceRequest(**MESH_VIEWS, instruction="make it red")
SCENE_TEXTURE = SceneTextureRequest(**MESH_VIEWS, capture=ID, edit="red")
RENDER = SceneRenderRequest(
    capture=ID,
    width=512,
    height=256,
    intrinsics=np.ones((2, 4)),
    camera_to_world=np.zeros((2, 4, 4)),
)


@pytest.mark.parametrize(
    ("request_", "wrong"),
    [
        (EDIT, {"name": "../out"}),
        (EDIT, {"name": "Red"}),
        (EDIT, {"name": "red\n"}),
        (EDIT, {"name": "x" * 65}),
        (EDIT, {"base": ""}),
        (EDIT, {"capture": ID + "\n"}),
        (EDIT, {"capture": "../../etc"}),
        (EDIT, {"threshold": 0.0}),
        (EDIT, {"preset": "huge"}),
        (EDIT, {"steps": 0}),
        (EDIT, {"snap": "cells"}),
        (EDIT, {"detail": ""}),
        (EDIT, {"iterations": 0}),
        (EDIT, {"text_guidance": math.nan}),
        (TRAIN, {"preset": "huge"}),
        (TRAIN, {"preset": "paper"}),
        (TRAIN, {"iterations": 0}),
        (TRAIN, {"iterations": 10**7}),
        (TRAIN, {"seed": -1}),
        (MESH, {"faces": 3}),
        (MESH, {"texture_size": 8}),
        (MESH, {"texture_size": 8193}),
        (TEXTURE, {"rounds": 0}),
        (TEXTURE, {"snap": "cells"}),
        (TEXTURE, {"rim": -1.0}),
        (TEXTURE, {"relevance_seeds": []}),
        (TEXTURE, {"intrinsics": [5.0, 5.0, 3.0]}),
        (TEXTURE, {"intrinsics": [0.0, 5.0, 3.0, 2.5]}),
        (TEXTURE, {"intrinsics": [5.0, 5.0, math.inf, 2.5]}),
        (TEXTURE_MAP, {"noise_level": 1.5}),
        (TEXTURE_MAP, {"instruction": " "}),
        (TEXTURE_MAP, {"intrinsics": [0.0, 5.0, 3.0, 2.5]}),
        (SCENE_TEXTURE, {"intrinsics": [0.0, 5.0, 3.0, 2.5]}),
        (SCENE_TEXTURE, {"edit": "../red"}),
        (SCENE_TEXTURE, {"capture": "red"}),
        (SCENE_TEXTURE, {"threshold": 1.5}),
        (RENDER, {"width": 0}),
        (RENDER, {"height": 8193}),
        (RENDER, {"edit": "../red"}),
        (RENDER, {"capture": "red"}),
    ],
)
def test_values_out_of_range_are_refused(request_, wrong):
    version, header, *arrays = codec.encode(Submit(job=ID, request=request_))
    # Changed in the plain map: the struct itself would refuse some before they are sent.
    plain = msgspec.msgpack.decode(header)
    for name, value in wrong.items():
        places = [
            plain["request"],
            *(plain["request"].get(one, {}) for one in ("maps", "settings", "region")),
        ]
        next(place for place in places if name in place)[name] = value
    with pytest.raises(codec.BadMessage, match="cannot be read"):
        codec.decode_client_message([version, msgspec.msgpack.encode(plain), *map(bytes, arrays)])


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"corners": np.zeros((0, 3, 3)), "uvs": np.zeros((0, 3, 2))}, "at least one face"),
        ({"corners": np.zeros((2, 3, 2))}, "corners must have the shape Nx3x3"),
        ({"corners": np.zeros((2, 3, 3), np.int32)}, "corners must be float32 or float64"),
        ({"uvs": np.zeros((3, 3, 2))}, "uvs must have the shape 2x3x2"),
        ({"occluders": np.zeros((3, 3))}, "occluders must have"),
        ({"texture": np.zeros((4, 4), np.uint8)}, "texture must have"),
        ({"texture": np.zeros((4, 4, 5), np.uint8)}, "texture must have"),
        ({"texture": np.zeros((1, 8193, 3), np.uint8)}, "each side must have 1 to 8192"),
        ({"views": np.zeros((3, 5, 6, 4), np.uint8)}, "views must have"),
        ({"views": np.zeros((0, 5, 6, 3), np.uint8)}, "there must be 1 to"),
        ({"views": np.zeros((3, 0, 6, 3), np.uint8)}, "each side"),
        ({"camera_to_world": np.zeros((2, 4, 4))}, "camera_to_world must have the shape 3x4x4"),
    ],
)
def test_meshes_and_views_that_do_not_fit_are_refused(wrong, sentence):
    for request_ in (TEXTURE, SCENE_TEXTURE):
        with pytest.raises(ValueError, match=sentence):
            msgspec.structs.replace(request_, **wrong)


@pytest.mark.parametrize(
    ("things", "sentence"),
    [
        (np.zeros(3, np.int32), "things must have the shape 2"),
        (np.zeros((2, 1), np.int32), "things must have the shape 2"),
        (np.zeros(2, np.uint16), "things must be int32"),
        (np.array([0, -1], np.int32), "labels of 0 or more"),
    ],
)
def test_labels_of_things_that_do_not_fit_the_triangles_are_refused(things, sentence):
    with pytest.raises(ValueError, match=sentence):
        msgspec.structs.replace(TEXTURE, things=things)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"intrinsics": np.ones((3, 4))}, "camera_to_world must have the shape 3x4x4"),
        ({"intrinsics": np.ones((2, 4), np.float32)}, "intrinsics must be float64"),
        ({"intrinsics": np.array([[1, 1, 0, 0], [0, 1, 0, 0.0]])}, "focal lengths above 0"),
        ({"intrinsics": np.array([[1, 1, 0, 0], [1, 1, 0, np.inf]])}, "must be finite"),
        ({"intrinsics": np.ones((0, 4)), "camera_to_world": np.zeros((0, 4, 4))}, "0 frames"),
        ({"width": 8192, "height": 8192}, "2 frames of 8192x8192 .* at most 256 MiB"),
    ],
)
def test_renders_that_cannot_be_are_refused(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        msgspec.structs.replace(RENDER, **wrong)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"painted": np.full((4, 5), 3, np.uint8)}, "must hold 0, 1 and 2 only"),
        ({"painted": np.zeros((4, 5), np.uint16)}, "painted"),
        ({"painted": np.zeros((4, 5, 3), np.uint8)}, "painted"),
        ({"cx": math.nan}, "finite"),
        ({"camera_to_world": (math.inf, *[0.0] * 15)}, "finite"),
    ],
)
def test_painted_views_that_cannot_be_are_refused(wrong, sentence):
    right = {"painted": np.ones((4, 5), np.uint8), "fx": 5.0, "fy": 5.0, "cx": 2.5, "cy": 2.0}
    right["camera_to_world"] = tuple(np.eye(4).ravel().tolist())
    view = PaintedView(**right)
    with pytest.raises(ValueError, match=sentence):
        PaintedView(**(right | wrong))
    asked = flat(
        EditSceneRequest, capture=ID, name="red", instruction="make it red", painted=(view,) * 13
    )
    with pytest.raises(codec.BadMessage):
        codec.decode_client_message(copied(codec.encode(Submit(job=ID, request=asked))))


def test_poses_that_are_no_numbers_are_refused():
    poses = np.full((3, 4, 4), np.nan)
    request_ = msgspec.structs.replace(TEXTURE, camera_to_world=poses)
    with pytest.raises(codec.BadMessage, match="finite"):
        codec.decode_client_message(copied(codec.encode(Submit(job=ID, request=request_))))


MESH_RESULT = SceneMeshResult(
    vertices=np.zeros((3, 3)),
    faces=np.array([[0, 1, 2]], np.int32),
    uvs=np.zeros((1, 3, 2), np.float32),
    texture=np.zeros((4, 4, 3), np.uint8),
    edited_texture=None,
    relevance_texture=None,
    threshold=None,
)


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"faces": np.array([[0, 1, 3]], np.int32)}, "faces must name vertices 0 to 2"),
        ({"faces": np.array([[0, 1, -1]], np.int32)}, "faces must name vertices 0 to 2"),
        ({"faces": np.array([[0, 1, 2]])}, "faces must be int32"),
        ({"vertices": np.zeros((3, 3), np.float32)}, "vertices must be float64"),
        ({"uvs": np.zeros((2, 3, 2), np.float32)}, "uvs must have the shape 1x3x2"),
        ({"edited_texture": np.zeros((4, 5, 3), np.uint8)}, "edited_texture must have"),
        ({"relevance_texture": np.zeros((3, 4), np.float32)}, "relevance_texture must have"),
    ],
)
def test_meshes_that_do_not_fit_are_not_returned(wrong, sentence):
    with pytest.raises(ValueError, match=sentence):
        msgspec.structs.replace(MESH_RESULT, **wrong)


def test_every_request_has_its_result():
    """`x_request` is answered by `x_result`: clients rely on it."""
    asked, answered = (
        {kind.__struct_config__.tag.removesuffix(ending) for kind in union.__args__}
        for union, ending in ((requests.Request, "_request"), (requests.Result, "_result"))
    )
    assert asked == answered
