"""What a server answers about an edited scene, against what the scene itself shows."""

import msgspec
import numpy as np
import pytest

from backend.captures.lens import Intrinsics
from backend.meshes.painting import PaintConfig
from backend.meshes.textured_mesh import MeshView, TexturedMesh
from backend.scenes.camera import Camera
from backend.scenes.scene import Scene
from backend.scenes.texture import field_edit, texture_from_field
from protocol.line import ServerError
from protocol.messages import (
    Progress,
)
from protocol.requests import (
    SceneMeshRequest,
    SceneRenderRequest,
    SceneTextureRequest,
)
from tests.backend.test_mesh_edit import ball_mesh, two_halves
from tests.backend.tiny_capture import SPHERES, orbit_pose, trace
from tests.protocol.flat import flat

CAMERA = Intrinsics(31.2, 31.2, 12, 12, 24, 24)


def check_meshes(client, capture):
    """Meshes of the edit "red" and of the field, in the capture's coordinates."""
    events = []
    edited = client.run(
        flat(SceneMeshRequest, capture=capture, edit="red", faces=200, texture_size=64),
        events.append,
    )
    plain = client.run(flat(SceneMeshRequest, capture=capture, faces=200, texture_size=32))
    for result in (edited, plain):
        assert len(result.faces) > 100
        simple = len(result.faces) <= 200
        assert simple or any("cannot be simplified further" in note for note in result.notes)
        assert np.abs(result.vertices).max() < 4  # the floor ends at 3; the cameras are farther out
    region = edited.relevance_texture >= edited.threshold
    assert edited.threshold == 0.5
    assert region.any()
    assert (edited.edited_texture[region] != edited.texture[region]).any()
    assert (edited.edited_texture[~region] == edited.texture[~region]).all()
    assert any(isinstance(event, Progress) and event.fraction > 0 for event in events)
    assert plain.texture.shape == (32, 32, 3)
    assert (plain.edited_texture, plain.relevance_texture, plain.threshold) == (None, None, None)


def scene_texture_request(capture):
    """The large sphere of the scene, by renders of it alone."""
    mesh = ball_mesh(two_halves(64))
    (centre, radius, _) = SPHERES[0]
    corners = mesh.corners * radius + np.array(centre)
    views = [orbit_pose(2 * np.pi * index / 4, 0.5) for index in range(4)]
    return SceneTextureRequest(
        capture=capture,
        edit="red",
        corners=corners,
        uvs=mesh.uvs,
        occluders=mesh.occluders,
        texture=mesh.texture,
        views=np.stack([trace(pose, CAMERA)[0] for pose in views]),
        intrinsics=(CAMERA.fx, CAMERA.fy, CAMERA.cx, CAMERA.cy),
        camera_to_world=np.stack(views),
        lit=False,
    )


def check_textures(client, folder):
    """The edit "red" in a mesh's own texture: what the function itself makes of the server's data,
    at the edit's threshold and at another one.
    """
    request = scene_texture_request(folder.name)
    mesh = TexturedMesh(request.corners, request.uvs, request.texture, request.occluders)
    pairs = zip(request.views, request.camera_to_world, strict=True)
    views = [MeshView(image, CAMERA, pose) for image, pose in pairs]
    change = field_edit(Scene.open(folder, device="cpu"), "red")
    expected = texture_from_field(mesh, views, change, PaintConfig(lit=False))
    events = []
    result = client.run(request, events.append)
    assert (result.texture == expected.texture).all()
    assert (result.region == expected.region).all()
    assert result.threshold == change.threshold
    assert (result.texture[~result.region] == request.texture[~result.region]).all()
    assert any(isinstance(event, Progress) and event.preview is not None for event in events)
    none = client.run(msgspec.structs.replace(request, threshold=1.0))
    assert none.threshold == 1.0
    assert (none.relevance == result.relevance).all()
    assert none.region.sum() < result.region.sum()
    with pytest.raises(ServerError, match="no edit green"):
        client.run(msgspec.structs.replace(request, edit="green"))


def check_renders(client, folder):
    """Frames of the edit and of the field, each by a lens of its own: what the scene itself shows;
    of the edit "red" another picture than of the field.
    """
    poses = [orbit_pose(azimuth, 0.5) for azimuth in (0.3, 2.0)]
    lenses = [(40.0, 40.0, 20.0, 15.0), (60.0, 58.0, 18.5, 16.0)]
    request = SceneRenderRequest(
        capture=folder.name,
        edit="red",
        width=40,
        height=30,
        intrinsics=np.array(lenses),
        camera_to_world=np.stack(poses),
    )
    events = []
    edited = client.run(request, events.append).frames
    plain = client.run(msgspec.structs.replace(request, edit=None)).frames
    scene = Scene.open(folder, device="cpu")
    for frames, field in ((edited, scene.edited("red").field), (plain, None)):
        assert frames.shape == (2, 30, 40, 3)
        for frame, pose, lens in zip(frames, poses, lenses, strict=True):
            seen = scene.render(Camera(pose, Intrinsics(*lens, 40, 30)), field=field).rgb
            assert np.abs(frame - 255 * seen).max() <= 0.51
    assert (edited != plain).any()
    assert any(isinstance(event, Progress) and event.preview is not None for event in events)
    below = np.stack([orbit_pose(azimuth, -1.2) for azimuth in (0.3, 2.0)])
    told = [
        client.run(msgspec.structs.replace(request, camera_to_world=one)).notes
        for one in (request.camera_to_world, below)
    ]
    assert told[0] == ()
    assert ["2 of 2 cameras of the path stand" in note for note in told[1]] == [True]
    mirrored = request.camera_to_world.copy()
    mirrored[1, :3, 0] *= -1
    with pytest.raises(ServerError, match="The camera pose of frame 2 is mirrored"):
        client.run(msgspec.structs.replace(request, camera_to_world=mirrored))
    with pytest.raises(ServerError, match="no edit green"):
        client.run(msgspec.structs.replace(request, edit="green"))
