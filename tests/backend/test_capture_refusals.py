"""What cannot be used is refused in one sentence that names the file, and nothing is lost."""

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.optimize import linprog
from scipy.spatial.transform import Rotation

from backend.captures.box import standing
from backend.captures.capture import Capture
from backend.captures.checks import check_overlap, pyramids_meet
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics
from backend.captures.transforms import open_capture, readable, write_capture
from tests.backend.capture_worlds import look_at, orbit, views_of_noise

COUNT = 4


@pytest.fixture
def folder(tmp_path):
    write_capture(tmp_path / "scene", views_of_noise(orbit(COUNT)))
    return tmp_path / "scene"


def read_json(folder):
    return json.loads((folder / "transforms.json").read_text())


def write_json(folder, content):
    (folder / "transforms.json").write_text(json.dumps(content))


def refusal(folder, downscale=1.0):
    """The sentence with which a folder is refused, by its description or by its pixels."""
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    with pytest.raises(CaptureError) as caught:
        readable(open_capture(folder, downscale))
    assert before == {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    sentence = str(caught.value)
    assert is_one_sentence(sentence)
    return sentence


def is_one_sentence(text):
    return text.endswith((".", "?")) and "\n" not in text and text[0].isprintable()


# ------------------------------------------------------------------ files


def test_no_folder(tmp_path):
    assert "There is no folder" in refusal(tmp_path / "nowhere")


def test_photos_alone_are_told_how_to_become_a_capture(folder):
    (folder / "transforms.json").unlink()
    sentence = refusal(folder)
    assert "has no transforms.json" in sentence
    assert "scene import" in sentence
    assert str(folder) in sentence


def test_broken_json_is_told_by_its_line(folder):
    path = folder / "transforms.json"
    lines = path.read_text().splitlines()
    lines[6] = lines[6] + " oops"
    path.write_text("\n".join(lines))
    sentence = refusal(folder)
    assert str(path) in sentence
    assert "line 7" in sentence


@pytest.mark.parametrize("content", [b"\xff\xfe\x00", b"", b"[" * 100000, b"9" * 10000])
def test_what_is_no_json_at_all(folder, content):
    (folder / "transforms.json").write_bytes(content)
    assert "transforms.json" in refusal(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c: c.pop("frames"), "missing required field `frames`"),
        (
            lambda c: c["frames"][2].update(transform_matrix=3),
            "got `int` - at `$.frames[2].transform_matrix`",
        ),
        (lambda c: c["frames"][1].update(file_path=3), "$.frames[1].file_path"),
        (lambda c: c["frames"][1].update(transform_matrix=[[1, 2], [3]]), "0001.png is not 4x4"),
        (lambda c: c.pop("fl_x") and c.pop("fl_y"), "the focal length of images/0000.png"),
        (lambda c: c.update(fl_x=-3.0), "images/0000.png the fl_x -3, which is no focal length"),
        (lambda c: c.update(cx=1e300), "images/0000.png the cx 1e+300"),
        (lambda c: c.update(camera_model="EQUIRECTANGULAR"), "EQUIRECTANGULAR, which is not"),
        (lambda c: c.update(k1=-9.0), "images/0000.png cannot be used: its lens distortion"),
        (lambda c: c.update(aabb_scale=0), "describes no box"),
        (lambda c: c.update(integer_depth_scale=0.0), "integer_depth_scale is 0"),
        (
            lambda c: c["frames"].append(c["frames"][2] | {"file_path": "images/0001.png"}),
            "names the image images/0001.png twice, with different cameras: take the wrong one",
        ),
        (
            lambda c: c["frames"].__delitem__(slice(2, None)),
            "has 2 views: a scene needs at least 3",
        ),
        (lambda c: c["frames"].clear(), "has 0 views"),
    ],
)
def test_descriptions_that_make_no_sense(folder, change, words):
    content = read_json(folder)
    change(content)
    write_json(folder, content)
    sentence = refusal(folder)
    assert words in sentence
    assert str(folder) in sentence or "images/0000.png" in sentence


def break_two(folder, make):
    """Two of the four images of a capture: too few are left."""
    for name in ("images/0001.png", "images/0002.png"):
        make(folder / name)


def test_missing_images(folder):
    break_two(folder, lambda image: image.unlink())
    sentence = refusal(folder)
    assert "names 4 images, of which 2 can be used, and a scene needs 3" in sentence
    assert "images/0001.png, which does not exist" in sentence


def test_images_that_are_none_and_that_end_early(folder):
    image = folder / "images/0001.png"
    whole = image.read_bytes()
    break_two(folder, lambda image: image.write_bytes(whole[: len(whole) // 2]))
    assert f"2 images that can be read, and a scene needs 3: {image} is damaged" in refusal(folder)
    break_two(folder, lambda image: image.write_bytes(b"not an image"))
    assert f"{image} is not an image" in refusal(folder)
    break_two(folder, lambda image: image.write_bytes(b""))
    assert f"{image} is not an image" in refusal(folder)


@pytest.mark.parametrize("dtype", [np.int32, np.float32])
def test_images_with_wide_values(folder, dtype):
    Image.fromarray(np.zeros((16, 24), dtype)).save(folder / "wide.tif")
    wide = (folder / "wide.tif").read_bytes()
    (folder / "wide.tif").unlink()
    break_two(folder, lambda image: image.write_bytes(wide))
    assert f"{folder / 'images/0001.png'} does not have 8 bits" in refusal(folder)


def test_an_image_of_another_size(folder):
    Image.new("RGB", (12, 8)).save(folder / "images/0001.png")
    sentence = refusal(folder)
    assert "says that images/0001.png is 24x16, but it is 12x8" in sentence
    Image.new("RGB", (16, 24)).save(folder / "images/0001.png")
    assert "16x24 (lying on its side: save it upright)" in refusal(folder)


@pytest.mark.parametrize("downscale", [0.5, 0.0, -1.0, float("nan"), float("inf")])
def test_scaling_up_is_refused(folder, downscale):
    assert "cannot be scaled down" in refusal(folder, downscale)


def test_scaling_down_to_nothing_is_refused(folder):
    said = refusal(folder, 1000.0)
    assert "show nothing" in said
    most = float(said.split("Give ")[1].split()[0])
    assert min(open_capture(folder, most).read(0).image.shape[:2]) == 2


def test_a_capture_is_never_overwritten(folder):
    before = (folder / "transforms.json").read_bytes()
    with pytest.raises(CaptureError, match="exists already"):
        write_capture(folder, views_of_noise(orbit(3)))
    assert (folder / "transforms.json").read_bytes() == before


# ------------------------------------------------------------------ poses


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda p: p.__setitem__((0, 3), 1e30), "beyond 1e+09"),
        (lambda p: p.__setitem__((3, 0), 1.0), "0 0 0 1"),
        (
            lambda p: p.__setitem__(slice(None), p.T.copy()),
            "is transposed: it has its shift in the",
        ),
        (lambda p: p.__imul__(np.array([[2.0], [2], [2], [1]])), "has a scale"),
        (lambda p: p.__setitem__((slice(3), 0), p[:3, 1]), "is not a rotation"),
        (lambda p: p.__setitem__((slice(3), 0), -p[:3, 0]), "is mirrored"),
    ],
)
def test_poses_that_are_not_rigid(folder, change, words):
    content = read_json(folder)
    pose = np.array(content["frames"][2]["transform_matrix"])
    change(pose)
    content["frames"][2]["transform_matrix"] = pose.tolist()
    write_json(folder, content)
    sentence = refusal(folder)
    assert "images/0002.png" in sentence
    assert words in sentence


def test_poses_that_are_not_known_are_refused_where_too_few_are(folder):
    content = read_json(folder)
    for number, value in ((1, np.nan), (2, -np.inf)):
        content["frames"][number]["transform_matrix"][0][3] = value
    write_json(folder, content)
    sentence = refusal(folder)
    assert "the camera pose of images/0001.png holds values that are not finite numbers" in sentence


def test_poses_rounded_to_four_digits_are_rigid_enough(folder):
    content = read_json(folder)
    for frame in content["frames"]:
        frame["transform_matrix"] = np.round(frame["transform_matrix"], 4).tolist()
    write_json(folder, content)
    assert len(open_capture(folder)) == COUNT


def set_poses(folder, poses):
    content = read_json(folder)
    for frame, pose in zip(content["frames"], poses, strict=True):
        frame["transform_matrix"] = pose.tolist()
    write_json(folder, content)


def test_all_cameras_in_one_place(folder):
    set_poses(folder, np.array([look_at((7, 8, 9), target) for target in np.eye(COUNT, 3)]))
    assert "all cameras in one place" in refusal(folder)


def test_a_view_that_shares_nothing_with_the_others(folder):
    poses = orbit(COUNT)
    poses[1] = look_at(poses[1][:3, 3], 2 * poses[1][:3, 3])  # turned away
    set_poses(folder, poses)
    assert "nothing that images/0001.png can see is in any other view" in refusal(folder)


def test_a_scene_outside_the_box_of_aabb_scale_is_opened_with_a_note(folder):
    """Programs write a default there, which is not where the photos were taken."""
    content = read_json(folder) | {"aabb_scale": 4}
    write_json(folder, content)
    assert not any("aabb_scale" in note for note in open_capture(folder).notes)
    set_poses(folder, orbit(COUNT, target=(20, 0, 0)))
    capture = open_capture(folder)
    (note,) = (note for note in capture.notes if "aabb_scale" in note)
    assert "look at (20, " in note
    assert "outside the box" in note
    np.testing.assert_allclose(capture.in_box(np.array([20.0, 0, 0])), 0, atol=0.5)


@pytest.mark.parametrize("offset", [[0.5, 0.5, 0.5], [-6.1, 0.5, 0.5]])
def test_a_cube_of_aabb_scale_off_the_origin_is_read(folder, offset):
    """The cameras look at (0, 0, 0), or at (20, 0, 0), where the offset puts the cube."""
    middle = (0.5 - offset[0]) / 0.33
    set_poses(folder, orbit(COUNT, target=(middle, 0, 0)))
    content = read_json(folder) | {"aabb_scale": 4, "scale": 0.33, "offset": offset}
    write_json(folder, content)
    capture = open_capture(folder)
    assert not any("aabb_scale" in note for note in capture.notes)
    np.testing.assert_allclose(capture.camera_to_world, orbit(COUNT, target=(middle, 0, 0)))
    np.testing.assert_allclose(capture.in_box(np.array([middle, 0, 0])), 0, atol=0.5)


# ------------------------------------------------------------------ overlap


def random_pyramid(rng):
    """float64 (5, 3): apex and corners of a camera's view."""
    half = rng.uniform(0.1, 1)
    corners = np.array([[-half, -half, 1], [half, -half, 1], [half, half, 1], [-half, half, 1]])
    corners *= rng.uniform(0.5, 3)
    turned = Rotation.random(random_state=int(rng.integers(2**31))).apply(
        np.vstack([np.zeros(3), corners])
    )
    return turned + rng.normal(size=3) * rng.uniform(0.1, 2)


def common_point(one, other):
    """Whether two convex hulls share a point, by linear programming."""
    equations = np.vstack(
        [
            np.hstack([one.T, -other.T]),
            np.repeat(np.eye(2), 5, axis=1),
        ]
    )
    found = linprog(np.zeros(10), A_eq=equations, b_eq=[0, 0, 0, 1, 1], bounds=(0, None))
    return found.status == 0


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=25)
def test_pyramids_meet_where_linear_programming_finds_a_point(seed):
    rng = np.random.default_rng(seed)
    one = random_pyramid(rng)
    others = np.array([random_pyramid(rng) for _ in range(4)])
    assert pyramids_meet(one, others).tolist() == [common_point(one, other) for other in others]


def test_views_side_by_side_opposite_and_back_to_back():
    camera = Intrinsics(50, 50, 32, 32, 64, 64)

    def alone(*poses):
        try:
            check_overlap("file", "abcd"[: len(poses)], [camera] * len(poses), np.array(poses))
        except CaptureError as error:
            return str(error)
        return ""

    side_by_side = [look_at((x, 0, 0), (x, 5, 0)) for x in range(3)]
    assert alone(*side_by_side) == ""
    facing = [look_at((0, 0, 0), (0, 5, 0)), look_at((0, 4, 0), (0, 0, 0))]
    assert alone(*facing) == ""
    back_to_back = [look_at((0, 0, 0), (0, 5, 0)), look_at((0, 0, 1e-3), (0, -5, 1e-3))]
    assert "nothing that a can see" in alone(*back_to_back)
    assert "nothing that d can see" in alone(*side_by_side, look_at((0, -1, 0), (0, -5, 0)))


# ------------------------------------------------------------------ anything at all

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**400), 10**400)
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(["images", "images/0001", "../scene/images/0002.png", "/", "\0", "a\nb"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)


def places(value, path=()):
    """All paths into a JSON value."""
    yield path
    if isinstance(value, dict | list):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in items:
            yield from places(inner, (*path, key))


@pytest.fixture(scope="module")
def sound(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sound")
    write_capture(folder, views_of_noise(orbit(COUNT)))
    content = read_json(folder)
    extra = {"aabb_scale": 16, "scale": 0.33, "offset": [0.5, 0.5, 0.5], "is_fisheye": False}
    return folder, content | extra


def usable_or_refused(folder):
    """Open a folder: whatever comes is a sentence or a capture that holds what it promises."""
    refused = ""
    try:
        capture = open_capture(folder)
    except CaptureError as error:
        refused = str(error)
    if refused:
        assert is_one_sentence(refused)
        assert str(folder) in refused or "images/000" in refused
        return
    assert isinstance(capture, Capture)
    assert len(capture) >= 3
    assert np.isfinite(capture.camera_to_box).all()
    inside = ~standing(capture.camera_to_world).outside
    assert np.abs(capture.camera_to_box[inside, :3, 3]).max() <= 1 + 1e-9
    assert len(set(capture.names)) == len(capture)
    for camera in capture.intrinsics:
        assert 0 < camera.fx < np.inf
        assert 0 < camera.fy < np.inf
        assert capture.read(0).image.shape == (camera.height, camera.width, 3)


@given(st.data())
def test_any_change_of_the_description_is_refused_or_harmless(sound, data):
    folder, content = sound
    content = json.loads(json.dumps(content))
    for _ in range(data.draw(st.integers(1, 3))):
        *way, last = data.draw(st.sampled_from([p for p in places(content) if p]))
        inner = content
        for key in way:
            inner = inner[key]
        if data.draw(st.booleans()):
            inner[last] = data.draw(values)
        else:
            del inner[last]
    write_json(folder, content)
    usable_or_refused(folder)


@given(st.data())
def test_any_change_of_the_text_is_refused_or_harmless(sound, data):
    folder, content = sound
    text = json.dumps(content, indent=1).encode()
    start = data.draw(st.integers(0, len(text)))
    length = data.draw(st.integers(0, 20))
    put = data.draw(st.binary(max_size=6) | st.text(max_size=6).map(lambda t: t.encode()))
    (folder / "transforms.json").write_bytes(text[:start] + put + text[start + length :])
    usable_or_refused(folder)
