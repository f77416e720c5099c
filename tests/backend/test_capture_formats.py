"""Captures in the forms that other programs write them: cameras by COLMAP's own reprojection, poses
to the last digit, and which views are trained on.
"""

import json
from pathlib import Path

import numpy as np
import pycolmap
import pytest
from PIL import Image

from backend.__main__ import main
from backend.captures.capture import Capture
from backend.captures.error import CaptureError
from backend.captures.formats.colmap import LENSES, MODELS
from backend.captures.formats.refused import refusal
from backend.captures.transforms import open_capture, readable, write_capture
from backend.fields.views import Views
from backend.meshes.reading import read_mesh
from backend.meshes.textured_mesh import MeshError
from tests.backend.capture_worlds import orbit, views_of_noise

COUNT = 12
PARAMETERS = {
    "SIMPLE_PINHOLE": [60, 33, 23],
    "PINHOLE": [60, 62, 33, 23],
    "SIMPLE_RADIAL": [60, 33, 23, 0.05],
    "RADIAL": [60, 33, 23, 0.05, -0.02],
    "OPENCV": [60, 62, 33, 23, 0.05, -0.02, 0.003, -0.002],
    "SIMPLE_FISHEYE": [60, 33, 23],
    "FISHEYE": [60, 62, 33, 23],
    "SIMPLE_RADIAL_FISHEYE": [60, 33, 23, 0.05],
    "RADIAL_FISHEYE": [60, 33, 23, 0.05, -0.02],
    "OPENCV_FISHEYE": [60, 62, 33, 23, 0.05, -0.02, 0.01, -0.003],
    "FULL_OPENCV": [60, 62, 33, 23, 0.05, -0.02, 0.003, -0.002, 0.01, 0, 0, 0],
}
"""Of pictures of 64x48."""


def noise(file: Path, size: tuple[int, int] = (64, 48)) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(abs(hash(file.name)) % 1000)
    Image.fromarray(rng.integers(0, 256, (*size[::-1], 3), dtype=np.uint8)).save(file)


def reconstruction(model: str, parameters: list[float], count: int = COUNT):
    """COLMAP's own: cameras in a circle around points, whose world is turned and scaled."""
    made = pycolmap.Reconstruction()
    made.add_camera_with_trivial_rig(
        pycolmap.Camera(camera_id=1, model=model, width=64, height=48, params=parameters)
    )
    turn = pycolmap.Rotation3d(np.array([0.1, 0.5, -0.3, 0.8]) / np.sqrt(0.99)).matrix()
    for index, pose in enumerate(orbit(count)):
        pose = pose @ np.diag([1.0, -1, -1, 1])
        pose[:3] = turn @ pose[:3]
        image = pycolmap.Image(name=f"IMG_{index:02}.png", camera_id=1, image_id=index + 1)
        made.add_image_with_trivial_frame(image, pycolmap.Rigid3d(pose[:3]).inverse())
    for place in np.random.default_rng(0).uniform(-0.7, 0.7, (30, 3)):
        made.add_point3D(turn @ place, pycolmap.Track())
    return made


def write(made: pycolmap.Reconstruction, folder: Path, text: bool) -> None:
    folder.mkdir(parents=True)
    made.write_text(folder) if text else made.write_binary(folder)


def reprojected(capture: Capture, index: int, places: np.ndarray) -> np.ndarray:
    """Pixels (n, 2) of the stored picture where places in capture coordinates are seen."""
    view = capture.views[index]
    seen = np.linalg.inv(capture.camera_to_world[index]) @ np.c_[places, np.ones(len(places))].T
    plane = view.lens.distort(np.stack([-seen[0] / seen[2], seen[1] / seen[2]], -1))
    camera = view.intrinsics
    return plane * (camera.fx, camera.fy) + (camera.cx, camera.cy)


@pytest.mark.parametrize("text", [True, False])
@pytest.mark.parametrize("model", PARAMETERS)
def test_colmap_folders_are_read_as_colmap_projects(tmp_path, model, text):
    made = reconstruction(model, PARAMETERS[model])
    write(made, tmp_path / "sparse/0", text)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    capture = readable(open_capture(tmp_path))
    assert capture.names == tuple(f"images/IMG_{k:02}.png" for k in range(COUNT))
    assert capture.folder == tmp_path
    assert capture.notes == ()
    places = np.array([point.xyz for point in made.points3D.values()])
    camera = made.cameras[1]
    for index in range(COUNT):
        image = made.images[index + 1]
        seen = image.cam_from_world() * places
        theirs = np.array([camera.img_from_cam(place) for place in seen])
        np.testing.assert_allclose(reprojected(capture, index, places), theirs, atol=1e-9)


def test_every_lens_of_colmap_that_is_read_is_tried():
    assert set(LENSES) | {"FULL_OPENCV"} == set(PARAMETERS)


@pytest.mark.parametrize("model", ["FOV", "THIN_PRISM_FISHEYE", "FULL_OPENCV", "EUCM"])
def test_lenses_of_colmap_that_no_lens_here_can_be_are_refused_by_name(tmp_path, model):
    camera = pycolmap.Camera.create_from_model_name(1, model, 60, 64, 48)
    camera.params = [*camera.params[:-1], 0.3]
    made = reconstruction(model, list(camera.params))
    write(made, tmp_path / "sparse", text=True)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    with pytest.raises(CaptureError, match=f"camera model {model}, which is not read.*undistort"):
        open_capture(tmp_path)


@pytest.mark.parametrize("where", ["sparse", ".", "model", "sparse/0"])
def test_colmap_models_are_found_where_people_keep_them(tmp_path, where):
    """With smaller pictures, as mip-NeRF 360's captures have them."""
    made = reconstruction("OPENCV", PARAMETERS["OPENCV"])
    write(made, tmp_path / "scene" / where, text=False) if where != "." else (
        (tmp_path / "scene").mkdir(),
        made.write_binary(tmp_path / "scene"),
    )
    for image in made.images.values():
        noise(tmp_path / "scene/images_2" / image.name, (32, 24))
    for place in (tmp_path / "scene", tmp_path / "scene" / where):
        capture = open_capture(place)
        assert len(capture) == COUNT
        assert capture.views[0].intrinsics.fx == pytest.approx(30)
        assert capture.views[0].intrinsics.cx == pytest.approx(16.5)
        assert capture.folder.resolve() == (tmp_path / "scene").resolve()


def test_what_colmap_left_out_is_named(tmp_path):
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/1", text=False)
    write(reconstruction("PINHOLE", PARAMETERS["PINHOLE"], 3), tmp_path / "sparse/0", text=False)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    noise(tmp_path / "images/unplaced.png")
    notes = open_capture(tmp_path).notes
    assert any("1 photos in images" in note and "unplaced.png" in note for note in notes)
    assert any("left 2 models" in note and "(1), not 0" in note for note in notes)


@pytest.mark.parametrize("size", [0, 10, 100, 1000])
def test_damaged_colmap_models_are_refused_in_one_sentence(tmp_path, size):
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/0", text=False)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    images = tmp_path / "sparse/0/images.bin"
    images.write_bytes(images.read_bytes()[:size])
    with pytest.raises(CaptureError, match="sparse/0 ") as caught:
        open_capture(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1 OPENCV 64 48 60 60 32 24\n", "OPENCV has 4 parameters"),
        ("1 PINHOLE 64 48 0 60 32 24\n", "no camera's"),
        ("2 PINHOLE 64 48 60 60 32 24\n", "the camera 1, which is missing"),
        ("1 PINHOLE 64\n", "not enough values"),
    ],
)
def test_cameras_of_colmap_that_make_no_sense_are_refused_in_one_sentence(tmp_path, text, words):
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/0", text=True)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    (tmp_path / "sparse/0/cameras.txt").write_text(text)
    with pytest.raises(CaptureError, match=words):
        open_capture(tmp_path)


def test_colmap_knows_the_same_numbers_of_models():
    ids = pycolmap.CameraModelId.__members__
    for number, (name, count) in MODELS.items():
        assert ids[name].value == number
        if name != "EQUIRECTANGULAR":
            made = pycolmap.Camera.create_from_model_name(1, name, 60, 64, 48)
            assert len(made.params) == count


def test_the_axes_of_colmap_are_known(tmp_path):
    made = reconstruction("PINHOLE", PARAMETERS["PINHOLE"])
    write(made, tmp_path / "sparse/0", text=False)
    for image in made.images.values():
        noise(tmp_path / "images" / image.name)
    with pytest.raises(CaptureError, match="leave --axes opencv-w2c out"):
        open_capture(tmp_path, axes="opencv-w2c")


@pytest.mark.parametrize("kind", ["OPENCV_FISHEYE", "FISHEYE"])
def test_fisheye_beyond_90_degrees_is_cropped(tmp_path, kind):
    """What is left shows what it did, in a pinhole camera of up to 75 degrees off the axis."""
    more = [0.02, -0.01, 0.002, 0.0] if kind == "OPENCV_FISHEYE" else []
    made = reconstruction(kind, [20, 20, 32, 24, *more])  # about 115 degrees at the corners
    write(made, tmp_path / "sparse/0", text=False)
    rows, columns = np.mgrid[:48, :64] + 0.5
    ramp = np.dstack([columns * 4 - 1, rows * 5, 0 * rows]).round().astype(np.uint8)
    (tmp_path / "images").mkdir()
    for image in made.images.values():
        Image.fromarray(ramp).save(tmp_path / "images" / image.name)
    capture = open_capture(tmp_path)
    (note,) = (note for note in capture.notes if "75 degrees" in note)
    assert note.startswith("12 of 12 pictures")
    camera, shown = capture.intrinsics[0], capture.read(0).image
    corners = camera.directions(np.array([[0.0, 0], [64, 0], [0, 48], [64, 48]]))
    angles = np.degrees(np.arctan(np.linalg.norm(corners[:, :2], axis=1)))
    np.testing.assert_allclose(angles, 75, atol=1)
    at = np.array([[8.5, 8.5], [32.5, 24.5], [50.5, 40.5]])
    rays = camera.directions(at) * (1, -1, -1)
    theirs = np.array([made.cameras[1].img_from_cam(ray) for ray in rays])
    for (column, row), (u, v) in zip(at.astype(int), theirs, strict=True):
        np.testing.assert_allclose(shown[row, column, :2], (u * 4 - 1, v * 5), atol=2)


# ---------------------------------------------------------------- split captures


def capture_folder(folder: Path, count: int = COUNT) -> dict:
    write_capture(folder, views_of_noise(orbit(count)))
    return json.loads((folder / "transforms.json").read_text("utf-8"))


def trained_and_measured(capture: Capture) -> tuple[int, int]:
    out = capture.held_out or ()
    return len(capture) - len(out), len(out)


@pytest.mark.parametrize("suffix", ["", ".png"])
def test_nerf_synthetic_folders_train_on_train_and_hold_out_the_others(tmp_path, suffix):
    content = capture_folder(tmp_path)
    (tmp_path / "transforms.json").unlink()
    parts = {"train": slice(0, 8), "val": slice(8, 10), "test": slice(10, 12)}
    for name, part in parts.items():
        frames = content["frames"][part]
        for frame in frames:
            file = tmp_path / frame["file_path"]
            (tmp_path / name).mkdir(exist_ok=True)
            file.rename(tmp_path / name / file.name)
            frame["file_path"] = f"./{name}/{file.stem}{suffix}"
        (tmp_path / f"transforms_{name}.json").write_text(
            json.dumps({"camera_angle_x": 0.69, "frames": frames})
        )
    capture = open_capture(tmp_path)
    assert trained_and_measured(capture) == (8, 4)
    assert {name.split("/")[0] for name in capture.held_out or ()} == {"val", "test"}
    np.testing.assert_array_equal(capture.camera_to_world, orbit(COUNT))
    assert any("4 of 12 views are held out of training" in note for note in capture.notes)
    (tmp_path / "test/0010.png").unlink()
    (tmp_path / "test/0011.png").unlink()
    capture = open_capture(tmp_path)  # often only the training views are handed on
    assert trained_and_measured(capture) == (8, 2)


def test_lists_of_names_for_training_and_measuring_are_kept_to(tmp_path):
    content = capture_folder(tmp_path)
    names = [frame["file_path"] for frame in content["frames"]]
    lists = {
        "train_filenames": [f"./{name}" for name in names[:7]],
        "val_filenames": names[7:9],
        "test_filenames": names[7:10],
    }
    file = tmp_path / "transforms.json"
    file.write_text(json.dumps(content | lists))
    capture = open_capture(tmp_path)
    assert trained_and_measured(capture) == (7, 3)
    assert capture.held_out == frozenset(names[7:10])
    assert any(
        "2 of 12 images are left out" in note and names[10] in note for note in capture.notes
    )
    file.write_text(json.dumps(content | {"test_filenames": names[:2]}))
    assert open_capture(tmp_path).held_out == frozenset(names[:2])
    file.write_text(json.dumps(content | {"train_filenames": ["a.png"]}))
    with pytest.raises(CaptureError, match="train_filenames leaves no view"):
        open_capture(tmp_path)
    file.write_text(json.dumps(content | {"test_filenames": names[:10]}))
    with pytest.raises(CaptureError, match="leaves 2 views to train on"):
        open_capture(tmp_path)


@pytest.mark.parametrize(
    "written",
    [
        lambda name: name.upper(),
        lambda name: name.split("/")[-1],
        lambda name: name.removesuffix(".png"),
        lambda name: name.replace("/", "\\"),
        lambda name: name.replace(".png", ".jpg"),
    ],
)
def test_lists_of_names_find_images_as_they_were_meant(tmp_path, written):
    content = capture_folder(tmp_path)
    names = [frame["file_path"] for frame in content["frames"]]
    lists = {"train_filenames": names[:9], "test_filenames": list(map(written, names[9:]))}
    (tmp_path / "transforms.json").write_text(json.dumps(content | lists))
    capture = open_capture(tmp_path)
    assert len(capture) == COUNT
    assert capture.held_out == frozenset(names[9:])


def test_lists_of_names_that_no_image_has_are_told(tmp_path):
    content = capture_folder(tmp_path)
    lists = {"test_filenames": ["images/none.png", "other.png"]}
    (tmp_path / "transforms.json").write_text(json.dumps(content | lists))
    (note,) = open_capture(tmp_path).notes
    assert "name images that it does not describe, such as images/none.png (2 in all)" in note


def test_a_field_is_trained_on_what_the_split_says(tmp_path):
    from dataclasses import replace

    from backend.fields.config import PRESETS
    from backend.fields.radiance_training import train

    content = capture_folder(tmp_path, 6)
    names = [frame["file_path"] for frame in content["frames"]]
    (tmp_path / "transforms.json").write_text(json.dumps(content | {"test_filenames": names[:2]}))
    config = replace(PRESETS["preview"], iterations=1, rays=16)
    field, _ = train(open_capture(tmp_path), config)
    assert field.names == tuple(names[2:])


# ---------------------------------------------------------------- what is not read


SPLAT = (
    b"ply\nformat binary_little_endian 1.0\nelement vertex 1\nproperty float f_dc_0\nend_header\n"
)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("point_cloud/iteration_7000/point_cloud.ply", "a Gaussian splat.*photos and cameras"),
        ("scene.ply", "a Gaussian splat.*photos and cameras"),
        ("scene.splat", "a Gaussian splat.*photos and cameras"),
        ("scan.E57", "a cloud of points.*photos and cameras"),
        ("mesh.glb", "a mesh, not a capture.*scene texture"),
        ("export.zip", "an archive: unpack it"),
        ("take.r3d", "an archive: unpack it"),
        ("bundle.out", "Bundler's list of cameras.*COLMAP"),
        ("scene.nvm", "VisualSFM's.*COLMAP"),
        ("reconstruction.json", "OpenSfM's.*export_colmap"),
        ("cameras.sfm", "AliceVision's.*COLMAP"),
        ("scan.psx", "Metashape's.*Agisoft XML"),
    ],
)
def test_what_is_not_read_is_refused_by_its_name(tmp_path, capsys, name, words):
    file = tmp_path / "scan" / name
    file.parent.mkdir(parents=True)
    file.write_bytes(SPLAT)
    for place in (tmp_path / "scan", file):
        if place.suffix == ".json":
            continue  # whose file may be anything
        with pytest.raises(CaptureError, match=words) as caught:
            open_capture(place)
        assert str(file) in str(caught.value)
        assert main(["scene", "import", str(place)]) == 1
        assert str(file) in capsys.readouterr().err


def test_photos_are_not_searched_anew_unasked_where_their_cameras_are_known(tmp_path, capsys):
    for index in range(4):
        noise(tmp_path / f"{index}.png")
    (tmp_path / "bundle.out").write_text("# Bundle file v0.3")
    assert main(["scene", "import", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert "Bundler's" in told
    assert f"--out {tmp_path / 'transforms.json'}" in told
    (tmp_path / "bundle.out").unlink()
    (tmp_path / "points.csv").write_text("x,y,z\n")  # nor does this, or Lightroom's settings
    (tmp_path / "0.xmp").write_text('<x:xmpmeta xmlns:x="adobe:ns:meta/"/>')
    (tmp_path / "scene.ply").write_bytes(SPLAT)  # says nothing about photos
    assert refusal(tmp_path) is None


RC_LIST = "#name,x,y,alt,heading,pitch,roll,f,px,py,k1,k2,k3,k4,t1,t2\n0.png,1,2,3,0,0,0,18,0,0\n"
RC_CAMERA = '<rdf:Description xmlns:xcr="http://www.capturingreality.com/ns/xcr/1.1#"/>'


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("Cameras.csv", RC_LIST, "RealityCapture's list of cameras.*COLMAP"),
        ("counted.csv", f"#cameras 4\n{RC_LIST}", "RealityCapture's list of cameras.*COLMAP"),
        ("0.xmp", RC_CAMERA, "a camera of RealityCapture's.*COLMAP"),
        ("images/0.xmp", RC_CAMERA, "a camera of RealityCapture's.*COLMAP"),
        ("opensfm/reconstruction.json", "[]", "OpenSfM's.*export_colmap"),
        ("MeshroomCache/StructureFromMotion/1a2b/cameras.sfm", "{}", "AliceVision's.*COLMAP"),
        ("cameras_sphere.npz", "", "NeuS and IDR.*transforms.json"),
        ("meta_data.json", "{}", "SDFStudio's.*transforms.json"),
        ("cams/00000000_cam.txt", "extrinsic", "MVSNet's.*transforms.json"),
    ],
)
def test_lists_of_cameras_beside_photos_are_not_passed_over(tmp_path, capsys, name, content, words):
    """Photos were searched for their cameras anew, and nothing was said of those that are known."""
    for index in range(4):
        noise(tmp_path / "images" / f"{index}.png")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).write_text(content)
    with pytest.raises(CaptureError, match=words):
        open_capture(tmp_path)
    assert main(["scene", "import", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert str(tmp_path / name) in told
    assert f"--out {tmp_path / 'transforms.json'}" in told


def test_a_splat_is_no_mesh(tmp_path):
    (tmp_path / "a.ply").write_bytes(SPLAT + bytes(4))
    with pytest.raises(MeshError, match="a Gaussian splat, which has no faces"):
        read_mesh(tmp_path / "a.ply")


# ---------------------------------------------------------------- masks


@pytest.mark.parametrize("how", ["mask_path", "masks", "colmap", "ones", "small"])
def test_masked_pixels_are_not_trained_on(tmp_path, how):
    content = capture_folder(tmp_path)
    seen = np.zeros((16, 24), np.uint8)
    seen[4:12, 6:20] = 1 if how == "ones" else 255
    for frame in content["frames"][:6]:
        file = Path(frame["file_path"])
        name = "masks/" + (file.name + ".png" if how == "colmap" else file.stem + ".png")
        if how == "mask_path":
            name = frame["mask_path"] = f"hidden/{file.stem}.png"
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(seen[::2, ::2] if how == "small" else seen).save(tmp_path / name)
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    capture = open_capture(tmp_path)
    assert any("6 of 12 views have a mask" in note for note in capture.notes)
    views = Views(capture)
    hidden = np.concatenate([np.tile(seen == 0, (6, 1)).ravel(), np.zeros(6 * 24 * 16, bool)])
    drawn = views.draw(60000).numpy()
    assert not hidden[drawn].any()
    assert len(np.unique(drawn)) == (~hidden).sum()
    assert not hidden[views.spread(2000).numpy()].any()
    unmasked = Views(open_capture(tmp_path).subset(range(6, 12)))
    assert unmasked.seen is None
    assert views.fingerprint() != unmasked.fingerprint()


def test_masks_that_cannot_be_used_are_refused(tmp_path):
    content = capture_folder(tmp_path)
    content["frames"][2]["mask_path"] = "masks/none.png"
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    with pytest.raises(CaptureError, match=r"the mask masks/none\.png, which does not exist"):
        open_capture(tmp_path)
    (tmp_path / "masks").mkdir()
    Image.new("L", (16, 24)).save(tmp_path / "masks/none.png")
    with pytest.raises(CaptureError, match="of another shape"):
        readable(open_capture(tmp_path))


def test_a_mask_is_bent_and_scaled_as_its_picture_is(tmp_path):
    """A pixel of which any part is masked is not trained on."""
    content = capture_folder(tmp_path)
    content |= {"k1": 0.2}
    mask = np.full((16, 24), 255, np.uint8)
    mask[:, 3] = 0
    (tmp_path / "masks").mkdir()
    Image.fromarray(mask).save(tmp_path / "masks/0000.png")
    (tmp_path / "transforms.json").write_text(json.dumps(content))
    seen = open_capture(tmp_path, downscale=2).read(0).seen
    assert seen is not None
    assert seen.shape == (8, 12)
    assert 0 < (~seen).sum() <= 16
    assert (~seen[3:5, :2]).any()
