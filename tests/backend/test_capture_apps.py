"""Captures of LLFF, Polycam, Record3D and Metashape, by their published layouts: poses and cameras
come back to the last digit.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.spatial.transform import Rotation

from backend.captures import depth_images
from backend.captures.depth_images import read_depth
from backend.captures.error import CaptureError
from backend.captures.lens import Intrinsics, Lens
from backend.captures.transforms import open_capture, readable
from tests.backend.capture_worlds import orbit

COUNT = 8
POSES = orbit(COUNT)
CAMERA = Intrinsics(60.0, 62.0, 33.0, 23.0, 64, 48)


def photo(file: Path, size: tuple[int, int] = (64, 48)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, (120, 90, 60)).save(file)


def opens(folder: Path, names: list[str], poses=POSES, camera=CAMERA, lens=None):
    capture = readable(open_capture(folder))
    assert capture.names == tuple(names)
    np.testing.assert_allclose(capture.camera_to_world, poses, atol=1e-12)
    for view in capture.views:
        assert view.intrinsics == camera
        assert view.lens == (Lens() if lens is None else lens)
    return capture


# ---------------------------------------------------------------- LLFF


def llff(folder: Path, images: str = "images", size: tuple[int, int] = (64, 48)) -> np.ndarray:
    rows = []
    for index, pose in enumerate(POSES):
        right, up, back, place = pose[:3].T
        matrix = np.stack([-up, right, back, place, (48, 64, 60)], axis=1)
        rows.append(np.concatenate([matrix.ravel(), (1.0, 9.0)]))
        photo(folder / images / f"IMG_{index:04}.JPG", size)
    np.save(folder / "poses_bounds.npy", np.array(rows))
    return np.array(rows)


def test_llff_is_read_by_poses_bounds(tmp_path):
    llff(tmp_path)
    names = [f"images/IMG_{index:04}.JPG" for index in range(COUNT)]
    camera = Intrinsics(60.0, 60.0, 32.0, 24.0, 64, 48)
    assert opens(tmp_path, names, camera=camera).notes == ()
    opens(tmp_path / "poses_bounds.npy", names, camera=camera)


def test_llff_with_smaller_photos_alone(tmp_path):
    llff(tmp_path, "images_4", (16, 12))
    capture = open_capture(tmp_path)
    assert capture.intrinsics[0] == Intrinsics(15.0, 15.0, 8.0, 6.0, 16, 12)


def test_llff_that_cannot_be_used_is_refused(tmp_path):
    rows = llff(tmp_path)
    photo(tmp_path / "images/IMG_9999.JPG")
    with pytest.raises(CaptureError, match=r"has 8 poses, and there are 9 photos"):
        open_capture(tmp_path)
    np.save(tmp_path / "poses_bounds.npy", rows[:, :15])
    with pytest.raises(CaptureError, match="not 17 numbers a photo"):
        open_capture(tmp_path)
    (tmp_path / "poses_bounds.npy").write_bytes(b"\x93NUMPY")
    with pytest.raises(CaptureError, match="cannot be read as LLFF's poses"):
        open_capture(tmp_path)


# ---------------------------------------------------------------- Polycam


def polycam(folder: Path, kind: str = "", shift: float = 0.0) -> list[str]:
    names = []
    for index, pose in enumerate(POSES):
        moved = pose.copy()
        moved[2, 3] += shift
        camera = {
            "fx": 60.0,
            "fy": 62.0,
            "cx": 33.0,
            "cy": 23.0,
            "width": 64,
            "height": 48,
            "blur_score": 90.5,
            "timestamp": 4000 + index,
        } | {f"t_{r}{c}": moved[r, c] for r in range(3) for c in range(4)}
        file = folder / "keyframes" / f"{kind}cameras" / f"{4000 + index}.json"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(camera))
        names.append(f"keyframes/{kind}images/{4000 + index}.jpg")
        photo(folder / names[-1])
    return names


def test_polycam_raw_data_is_read_with_its_depth(tmp_path):
    names = polycam(tmp_path)
    for index in range(COUNT):
        file = tmp_path / f"keyframes/depth/{4000 + index}.png"
        file.parent.mkdir(exist_ok=True)
        Image.fromarray(np.full((12, 16), 4100, np.uint16)).save(file)
    capture = opens(tmp_path, names)
    assert capture.notes == ()
    np.testing.assert_allclose(capture.read(0).depth, np.full((48, 64), 4.1), rtol=1e-6)
    opens(tmp_path / "keyframes", [name.removeprefix("keyframes/") for name in names])


def test_polycam_s_corrected_cameras_count_more(tmp_path):
    polycam(tmp_path)
    names = polycam(tmp_path, "corrected_", shift=1.0)
    poses = POSES.copy()
    poses[:, 2, 3] += 1
    opens(tmp_path, names, poses)


def test_a_polycam_camera_that_makes_no_sense_is_named(tmp_path):
    polycam(tmp_path)
    (tmp_path / "keyframes/cameras/4003.json").write_text('{"fx": 3}')
    with pytest.raises(CaptureError, match=r"4003\.json is no camera of Polycam's"):
        open_capture(tmp_path)


# ---------------------------------------------------------------- Record3D


def record3d(folder: Path, name: str = "metadata", **more) -> None:
    folder.mkdir(exist_ok=True)
    poses = [
        [*Rotation.from_matrix(pose[:3, :3]).as_quat(), *pose[:3, 3]] for pose in orbit(COUNT + 4)
    ]
    content = {"w": 64, "h": 48, "K": [60, 0, 0, 0, 62, 0, 33, 23, 1], "poses": poses, "fps": 30}
    (folder / name).write_text(json.dumps(content | more))
    for index in range(COUNT + 4):
        photo(folder / f"rgb/{index}.jpg")


@pytest.mark.parametrize("name", ["metadata", "metadata.json"])
def test_record3d_is_read_in_the_order_of_its_numbers(tmp_path, name):
    record3d(tmp_path / "EXR_RGBD", name)
    names = [f"rgb/{index}.jpg" for index in range(COUNT + 4)]
    assert sorted(names) != names
    opens(tmp_path, names, orbit(COUNT + 4))
    opens(tmp_path / "EXR_RGBD" / name, names, orbit(COUNT + 4))
    (tmp_path / "EXR_RGBD/rgb/3.jpg").unlink()
    opens(tmp_path, names[:3] + names[4:], np.delete(orbit(COUNT + 4), 3, axis=0))


def test_record3d_may_have_a_camera_for_each_picture(tmp_path):
    own = [[70.0, 71, 31, 22, 1, 1]] * (COUNT + 4)
    record3d(tmp_path, perFrameIntrinsicCoeffs=own)
    camera = Intrinsics(70.0, 71, 31, 22, 64, 48)
    opens(tmp_path, [f"rgb/{k}.jpg" for k in range(COUNT + 4)], orbit(COUNT + 4), camera)


DEPTH = np.linspace(2, 6, 12 * 16, dtype=np.float32).reshape(12, 16)


def lzfse_depth(file: Path, depth: np.ndarray) -> None:
    file.write_bytes(pytest.importorskip("lzfse").compress(depth.tobytes()))


def exr_depth(file: Path, depth: np.ndarray) -> None:
    package = pytest.importorskip("OpenEXR")
    header = {"compression": package.PIZ_COMPRESSION, "type": package.scanlineimage}
    with package.File(header, {"R": depth}) as written:
        written.write(str(file))


@pytest.mark.parametrize(
    ("pictures", "place", "write"),
    [("rgb", "depth/{}.exr", exr_depth), ("rgbd", "rgbd/{}.depth", lzfse_depth)],
)
def test_record3d_depths_are_read_in_metres(tmp_path, pictures, place, write):
    """Smaller than the pictures, as LiDAR's are; what the sensor did not see is NaN or 0."""
    record3d(tmp_path)
    (tmp_path / "rgb").rename(tmp_path / pictures)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    depth = DEPTH.copy()
    depth[0, :2] = np.nan, 0
    for index in range(COUNT + 4):
        write(tmp_path / place.format(index), depth)
    (tmp_path / place.format(3)).write_bytes(b"damaged")
    (tmp_path / place.format(5)).unlink()
    capture = open_capture(tmp_path)
    with_depth = [index for index, view in enumerate(capture.views) if view.depth is not None]
    assert with_depth == sorted({*range(COUNT + 4)} - {3, 5})
    (note,) = capture.notes
    assert note.startswith("1 of 11 depth images is left out: ")
    found = capture.read(0).depth
    assert found.shape == (48, 64)
    np.testing.assert_array_equal(found, np.nan_to_num(depth).repeat(4, 0).repeat(4, 1))


@pytest.mark.parametrize("suffix", [".depth", ".exr"])
def test_depths_without_their_package_say_what_to_do(tmp_path, monkeypatch, suffix):
    record3d(tmp_path)
    (tmp_path / "depth").mkdir()
    for index in range(COUNT + 4):
        (tmp_path / f"depth/{index}{suffix}").write_bytes(b"x")
    monkeypatch.setattr(depth_images, "import_module", lambda name: __import__("none_of_it"))
    (note,) = open_capture(tmp_path).notes
    assert "12 of 12 depth images are left out" in note
    assert "is missing: run `python install.py backend` again" in note


@pytest.mark.parametrize("size", [100, 12 * 16 * 4 - 4, 12 * 16 * 4 + 1, 12 * 17 * 4])
def test_depths_of_another_shape_than_their_picture_are_refused(tmp_path, size):
    lzfse_depth(tmp_path / "0.depth", np.ones(size, np.uint8))
    with pytest.raises(CaptureError, match=r"0\.depth .*shape"):
        read_depth(tmp_path / "0.depth", 64, 48)


def test_exr_depths_with_colours_are_refused(tmp_path):
    package = pytest.importorskip("OpenEXR")
    header = {"compression": package.ZIP_COMPRESSION, "type": package.scanlineimage}
    for name, channels, words in (
        ("grey", {"RGB": np.stack([DEPTH] * 3, -1)}, None),
        ("colours", {"RGB": np.stack([DEPTH, DEPTH, 2 * DEPTH], -1)}, "it has colours"),
        ("z", {"RGB": np.stack([DEPTH, DEPTH, 2 * DEPTH], -1), "Z": DEPTH}, None),
        ("value", {"V": DEPTH}, None),
        ("layers", {"A.Depth.Z": DEPTH, "A.N.X": DEPTH, "A.N.Z": 2 * DEPTH}, None),
        ("two", {"A.Depth.Z": DEPTH, "B.Depth.Z": DEPTH}, "has the channels A.Depth.Z, B.Depth.Z"),
        ("uv", {"U": DEPTH, "V": DEPTH}, "has the channels U, V, and none is Z, Y or R"),
    ):
        with package.File(header, channels) as written:
            written.write(str(tmp_path / f"{name}.exr"))
        if words is None:
            np.testing.assert_array_equal(read_depth(tmp_path / f"{name}.exr", 16, 12), DEPTH)
        else:
            with pytest.raises(CaptureError, match=words):
                read_depth(tmp_path / f"{name}.exr", 16, 12)


def test_record3d_that_cannot_be_used_is_refused(tmp_path):
    record3d(tmp_path)
    photo(tmp_path / "rgb/40.jpg")
    with pytest.raises(CaptureError, match=r"has the poses 0 to 11, none for .*40\.jpg"):
        open_capture(tmp_path)
    record3d(tmp_path, poses=[[0, 0, 0, 0, 1, 2, 3]])
    with pytest.raises(CaptureError, match="has a pose that is none"):
        open_capture(tmp_path)


# ---------------------------------------------------------------- Metashape


def metashape(
    folder: Path, kind: str = "frame", more: str = "", components: str = "", suffix: str = ""
) -> list[str]:
    cameras, names = "", []
    for index, pose in enumerate(POSES):
        numbers = " ".join(map(repr, (pose @ np.diag([1.0, -1, -1, 1])).ravel().tolist()))
        own = ' component_id="0"' if components else ""
        cameras += (
            f'<camera id="{index}" sensor_id="0"{own} label="IMG_{index:02}{suffix}">'
            f"<transform>{numbers}</transform></camera>\n"
        )
        names.append(f"images/IMG_{index:02}.JPG")
        photo(folder / names[-1])
    initial = '<calibration class="initial"><resolution width="64" height="48"/><f>1</f>'
    (folder / "cameras.xml").write_text(
        f"""<?xml version="1.0" encoding="UTF-8"?>
<document version="2.0.0"><chunk label="Chunk 1" enabled="true">
<sensors next_id="1"><sensor id="0" label="unknown" type="{kind}">
<resolution width="64" height="48"/>{initial}</calibration>
<calibration type="{kind}" class="adjusted"><resolution width="64" height="48"/>
<f>62</f><cx>1</cx><cy>-1</cy><b1>-2</b1><k1>0.05</k1><k2>-0.02</k2><k3>0.01</k3>{more}
</calibration></sensor></sensors>
<components next_id="1">{components}</components>
<cameras next_id="9"><group id="0">{cameras}</group>
<camera id="90" sensor_id="0" label="IMG_unplaced"/>
<camera id="91" sensor_id="0" label="IMG_00" enabled="false"/></cameras></chunk></document>"""
    )
    photo(folder / "images/IMG_unplaced.JPG")
    return names


@pytest.mark.parametrize("suffix", ["", ".JPG", ".jpg"])
def test_metashape_cameras_are_read(tmp_path, suffix):
    names = metashape(tmp_path, more="<p1>0.003</p1><p2>-0.002</p2>", suffix=suffix)
    lens = Lens(k1=0.05, k2=-0.02, k3=0.01, p1=-0.002, p2=0.003)
    capture = opens(tmp_path, names, lens=lens)
    assert any("1 of 9 views" in note and "unplaced" in note for note in capture.notes)
    opens(tmp_path / "cameras.xml", names, lens=lens)


def test_metashape_lenses_bend_as_its_manual_says(tmp_path):
    metashape(tmp_path, more="<p1>0.003</p1><p2>-0.002</p2><k4>0.004</k4>")
    view = open_capture(tmp_path).views[0]
    x, y = 0.3, -0.2
    r2 = x * x + y * y
    radial = 1 + 0.05 * r2 - 0.02 * r2**2 + 0.01 * r2**3 + 0.004 * r2**4
    bent_x = x * radial + (0.003 * (r2 + 2 * x * x) + 2 * -0.002 * x * y)
    bent_y = y * radial + (-0.002 * (r2 + 2 * y * y) + 2 * 0.003 * x * y)
    expected = (64 * 0.5 + 1 + bent_x * 62 + bent_x * -2, 48 * 0.5 - 1 + bent_y * 62)
    plane = view.lens.distort(np.array([[x, y]]))[0]
    camera = view.intrinsics
    found = plane * (camera.fx, camera.fy) + (camera.cx, camera.cy)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


def test_metashape_fisheye_and_components(tmp_path):
    turn = Rotation.from_euler("xyz", [10, 20, 30], degrees=True).as_matrix()
    numbers = " ".join(map(repr, turn.ravel().tolist()))
    names = metashape(
        tmp_path,
        "fisheye",
        components=f'<component id="0"><transform><rotation>{numbers}</rotation>'
        "<translation>3 4 5</translation><scale>2</scale></transform></component>",
    )
    moved = np.eye(4)
    moved[:3, :3], moved[:3, 3] = turn, (1.5, 2, 2.5)
    lens = Lens(k1=0.05, k2=-0.02, k3=0.01, fisheye=True)
    opens(tmp_path, names, moved @ POSES, lens=lens)


@pytest.mark.parametrize(
    ("kind", "more", "words"),
    [
        ("spherical", "", "of the type spherical, which is not read"),
        ("cylindrical", "", "of the type cylindrical, which is not read"),
        ("frame", "<b2>4</b2>", "has a skew"),
        ("fisheye", "<p1>0.1</p1>", "a fisheye lens with p1 and p2"),
        ("frame", "<k4>x</k4>", "cannot be read as Metashape's cameras"),
    ],
)
def test_metashape_cameras_that_are_not_read_are_refused_by_name(tmp_path, kind, more, words):
    metashape(tmp_path, kind, more)
    with pytest.raises(CaptureError, match=words):
        open_capture(tmp_path)


def exif(number: int) -> Image.Exif:
    found = Image.Exif()
    found[274] = number
    return found


@pytest.mark.parametrize(
    ("known", "marked", "count"),
    [("1", 1, 0), ("3", 3, 0), ("8", 8, 0), ("3", 1, 8), ("1", 6, 8), (None, 6, 0)],
)
def test_metashape_photos_that_were_turned_since_are_named(tmp_path, known, marked, count):
    """Its cameras are those of the stored pixels, whatever way up these are to be shown."""
    names = metashape(tmp_path)
    for name in names:
        Image.new("RGB", (64, 48)).save(tmp_path / name, exif=exif(marked))
    file = tmp_path / "cameras.xml"
    if known is not None:
        word = f"</transform><orientation>{known}</orientation></camera>"
        file.write_text(file.read_text().replace("</transform></camera>", word))
    capture = opens(tmp_path, names, lens=Lens(k1=0.05, k2=-0.02, k3=0.01))
    notes = [note for note in capture.notes if "when Metashape read them" in note]
    assert len(notes) == (count > 0)
    assert all(
        note.startswith(f"Photos such as images/IMG_00.JPG ({count} in all)") for note in notes
    )


def test_metashape_cameras_of_a_rig_without_a_place_are_named(tmp_path):
    names = metashape(tmp_path)
    file = tmp_path / "cameras.xml"
    follower = '<camera id="92" sensor_id="0" master_id="0" label="IMG_follower"/></cameras>'
    file.write_text(file.read_text().replace("</cameras>", follower))
    photo(tmp_path / "images/IMG_follower.JPG")
    capture = open_capture(tmp_path)
    assert capture.names == tuple(names)
    (note,) = (note for note in capture.notes if "master_id" in note)
    assert note.startswith("Cameras of a rig, such as IMG_follower (1 in all)")
