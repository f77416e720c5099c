"""install.py and installer/: what they decide, what they refuse, and what they say."""

from __future__ import annotations

import os
import platform
import socket
import subprocess
import sys
import threading
import tomllib
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

import install
from installer import (
    checks,
    environments,
    extension,
    processes,
    pytest_runs,
    pythons,
    system_libraries,
    torch_build,
)
from installer.environments import Environment, Plan, plan
from installer.processes import InstallError

ROOT = Path(install.__file__).parent
posix_only = pytest.mark.skipif(os.name == "nt", reason="the fakes are shell scripts")


def program(path: Path, body: str) -> str:
    """Writes a shell script that stands in for a program. Returns its path."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


# which Python


@posix_only
def test_find_python_takes_the_first_311_that_can_make_environments(tmp_path: Path) -> None:
    old = program(tmp_path / "old", "echo 3.8 True /old")
    broken = program(tmp_path / "broken", "exit 3")
    bare = program(tmp_path / "bare", "echo 3.11 False /bare")
    good = program(tmp_path / "good", "echo 3.11 True '/a folder/python'")
    commands = [[old], [str(tmp_path / "absent")], [broken], [bare], [good, "-3.11"], [old]]
    assert pythons.find("3.11", commands) == "/a folder/python"
    free_threaded = program(tmp_path / "free", "echo 3.13t True /free")
    newer = program(tmp_path / "newer", "echo 3.13 True /newer")
    assert pythons.find("3.13", [*commands, [free_threaded], [newer]]) == "/newer"


@posix_only
def test_find_python_says_what_to_install(tmp_path: Path) -> None:
    old = program(tmp_path / "old", "echo 3.8 True /old")
    bare = program(tmp_path / "bare", "echo 3.11 False /usr/bin/python3.11")
    with pytest.raises(pythons.PythonMissingError, match=r"Python 3\.11 is needed"):
        pythons.find("3.11", [[old]])
    with pytest.raises(
        pythons.PythonMissingError, match=r"/usr/bin/python3\.11 .*python3\.11-venv"
    ):
        pythons.find("3.11", [[bare], [old]])


def test_find_python_knows_this_interpreter() -> None:
    version = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert Path(pythons.find(version, [[sys.executable]])).samefile(sys.executable)


@posix_only
def test_candidates_come_from_the_usual_folders_and_uv_is_asked_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PYENV_ROOT", raising=False)
    pyenv = program(tmp_path / ".pyenv/versions/3.11.9/bin/python", "")
    newer = program(tmp_path / ".pyenv/versions/3.13.0/bin/python", "")
    uv_python = program(tmp_path / ".local/share/uv/python/cpython-3.11.8-linux/bin/python3.11", "")
    asked = tmp_path / "asked"
    program(tmp_path / "bin/uv", f'echo "$@" >> {asked}; [ "$2" = install ] || echo /from/uv')
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:/bin:/usr/bin")
    seen = []
    for command in pythons.candidates("3.11", tmp_path, fetch=True):
        seen.append(command)
        assert asked.exists() == (command == ["/from/uv"])
    assert seen[0] == [sys.executable]
    assert [pyenv] in seen
    assert [newer] not in seen
    assert [uv_python] in seen
    assert seen[-1] == ["/from/uv"]
    assert asked.read_text().splitlines() == ["python install 3.11", "python find 3.11"]
    asked.unlink()
    seen = list(pythons.candidates("3.13", tmp_path, fetch=False))
    assert [newer] in seen
    assert ["python3.13"] in seen
    assert [pyenv] not in seen
    assert asked.read_text().splitlines() == ["python find 3.13"]


# the command line


def command_line(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, ROOT / "install.py", *arguments], capture_output=True, text=True
    )


def test_help_names_every_command() -> None:
    done = command_line("--help")
    assert done.returncode == 0
    for name in ("backend", "addon", "demo", "test", ".venv-backend", ".venv-blender"):
        assert name in done.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["frobnicate"], "frobnicate"),
        ([], "COMMAND"),
        (["backend", "--cpu", "--cuda"], "not allowed with"),
        (["addon", "--fast"], "unknown argument: --fast"),
    ],
)
def test_bad_command_lines_are_refused(arguments: list[str], said: str) -> None:
    done = command_line(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_arguments_reach_the_command_or_pass_on() -> None:
    options, extra = install.parse_arguments(["test", "--cuda", "cu126", "--fast", "-k", "name"])
    assert (options.torch, options.fast, extra) == ("cu126", True, ["-k", "name"])
    options, extra = install.parse_arguments(["demo", "--cpu", "--", "--samples", "3"])
    assert (options.torch, extra) == ("cpu", ["--samples", "3"])
    assert install.parse_arguments(["backend", "--cuda"])[0].torch == "cuda"
    assert install.parse_arguments(["backend"])[0].torch is None


@posix_only
def test_another_python_says_in_one_sentence_what_is_missing(tmp_path: Path) -> None:
    # the real script under an interpreter that claims to be 3.8, where no 3.11 can be found
    starter = tmp_path / "starter.py"
    starter.write_text(
        "import sys, runpy\n"
        f"sys.path.insert(0, {str(ROOT)!r})\n"
        "sys.version_info = (3, 8, 18, 'final', 0)\n"
        f"sys.executable = {str(tmp_path / 'absent')!r}\n"
        "sys.argv = ['install.py', 'backend']\n"
        f"runpy.run_path({str(ROOT / 'install.py')!r}, run_name='__main__')\n"
    )
    environ = {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run([sys.executable, starter], capture_output=True, text=True, env=environ)
    if "Going on with" in done.stdout:
        pytest.skip("a Python 3.11 lies in a fixed place of this machine")
    assert done.returncode == 1
    assert done.stderr.startswith("install.py: Python 3.11 is needed and was not found")
    assert done.stderr.count("\n") == 1


# environments


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project's folder with two requirement files that require nothing."""
    monkeypatch.setattr(environments, "ROOT", tmp_path)
    for module in (environments, processes):
        monkeypatch.setattr(module, "CACHE", tmp_path / ".cache")
    monkeypatch.setattr(processes, "PIP_LOG", tmp_path / ".cache" / "pip.log")
    for name in ("one.txt", "two.txt"):
        (tmp_path / name).write_text("# nothing\n")
    return tmp_path


def finished(environment: Environment, **state: object) -> None:
    """Writes what a finished environment holds: a Python that starts, and the state file."""
    environment.python.parent.mkdir(parents=True)
    environment.python.symlink_to(sys.executable)
    files = {"one.txt": environments.file_hash(environment.folder.parent / "one.txt")}
    written = {"complete": True, "files": files, "seconds": 1.0, "bytes": 1, "torch": "cpu"}
    environments.write_state(environment.folder, written | state)


def test_plan_makes_what_is_not_there_and_reuses_what_is(project: Path) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    assert plan(environment) == Plan("make", ("one.txt",))
    finished(environment)
    assert plan(environment) == Plan("reuse", ())


def test_plan_installs_only_what_changed(project: Path) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    assert plan(environment.plus("two.txt")) == Plan("update", ("two.txt",))
    (project / "one.txt").write_text("# something else\n")
    assert plan(environment) == Plan("update", ("one.txt",))


def test_plan_starts_again_where_the_environment_is_half_made_or_not_as_asked(
    project: Path,
) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    assert plan(environment, "cpu").action == "reuse"
    assert plan(environment, "cuda").action == "make"
    environment.python.unlink()
    assert plan(environment).action == "make"
    environment.python.symlink_to(project / "a Python that was removed")
    assert plan(environment).action == "make"
    environments.write_state(environment.folder, {"complete": False})
    assert plan(environment).action == "make"
    (environment.folder / environments.STATE_FILE).write_text("{ half a fi")
    assert plan(environment).action == "make"


def test_plan_leaves_a_folder_alone_that_somebody_else_made(project: Path) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    (environment.folder / environments.STATE_FILE).unlink()
    with pytest.raises(InstallError, match=r"was not made by install\.py: move or delete"):
        plan(environment)


def test_ensure_makes_an_environment_once_and_replaces_a_half_made_one(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    environment.folder.mkdir()
    environments.write_state(environment.folder, {"complete": False})
    leftover = environment.folder / "lib" / "leftover.py"
    leftover.parent.mkdir()
    leftover.write_text("")

    first = environments.ensure(environment)["venv"]
    assert not leftover.exists()
    assert not first["reused"]
    assert first["bytes"] > 1_000_000  # pip itself
    code, prefix = processes.capture([environment.python, "-c", "import sys; print(sys.prefix)"])
    assert code == 0
    assert Path(prefix.strip()).samefile(environment.folder)

    second = environments.ensure(environment)["venv"]
    assert second == first | {"reused": True}
    assert "venv: ready" in capsys.readouterr().out


def test_a_failed_update_keeps_the_environment(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_network(*_: object) -> None:
        raise InstallError("The package index cannot be reached.")

    monkeypatch.setattr(environments, "run_pip", no_network)
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    before = environments.read_state(environment.folder)
    with pytest.raises(InstallError, match="cannot be reached"):
        environments.ensure(environment.plus("two.txt"))
    assert environments.read_state(environment.folder) == before
    assert plan(environment).action == "reuse"


def test_a_build_of_torch_that_cannot_be_had_is_not_asked_for_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "backend").mkdir()
    (project / torch_build.REQUIREMENTS).write_text("torch==0\n")
    asked = []

    def cpu_only(_: Path, build: str) -> None:
        asked.append(build)
        if build != "cpu":
            raise InstallError("There is no CUDA here.")

    monkeypatch.setattr(torch_build, "install", cpu_only)
    monkeypatch.setattr(torch_build, "has_nvidia_gpu", lambda: False)
    monkeypatch.setattr(environments, "CUDA_BYTES", 0)
    environment = Environment(project / "venv", (torch_build.REQUIREMENTS,), 0)
    with pytest.raises(InstallError, match="no CUDA"):
        environments.ensure(environment, torch="cuda")
    environments.ensure(environment)
    assert asked == ["cuda", "cpu"]
    assert environments.read_state(environment.folder)["torch"] == "cpu"


def test_an_interruption_leaves_an_environment_that_is_made_again(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(environments, "run_pip", interrupted)
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    with pytest.raises(KeyboardInterrupt):
        environments.ensure(environment.plus("two.txt"))
    assert plan(environment) == Plan("make", ("one.txt",))


def test_a_second_install_waits_for_the_first(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = Environment(project / "venv", ("one.txt",), 0)
    finished(environment)
    with environments.only_one():
        second = threading.Thread(target=environments.ensure, args=(environment,))
        second.start()
        second.join(1)
        assert second.is_alive()
    second.join(30)
    assert not second.is_alive()
    said = capsys.readouterr().out
    assert said.index("waiting for it") < said.index("venv: ready")


def test_too_little_disk_is_said_before_anything_is_touched(project: Path) -> None:
    environment = Environment(project / "venv", ("one.txt",), 10**18)
    with pytest.raises(InstallError, match=r"About 1000000000\.0 GB of free disk are needed at"):
        environments.ensure(environment)
    assert not environment.folder.exists()


# failures in words


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device",
         "disk is full"),
        ("WARNING: Retrying after connection broken by 'NewConnectionError(\"Temporary failure in "
         "name resolution\")'\nERROR: No matching distribution found for numpy==2.4.6",
         "index cannot be reached"),
        ("ERROR: Could not find a version that satisfies the requirement bpy==9\n"
         "ERROR: No matching distribution found for bpy==9", "no bpy==9 for this Python"),
        ("error: command 'x86_64-linux-gnu-gcc' failed: No such file or directory",
         "C compiler"),
        ("ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE.", "hash"),
        ("ERROR: Something else\nERROR: The last word", "The last word"),
    ],
)  # fmt: skip
def test_what_pip_says_becomes_one_sentence(output: str, said: str) -> None:
    sentence = processes.explain_failure(output)
    assert said in sentence
    assert sentence.endswith(".")
    assert "\n" not in sentence


def test_run_pip_reports_a_real_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "CACHE", tmp_path)
    monkeypatch.setattr(processes, "PIP_LOG", tmp_path / "pip.log")
    options: list[str | Path] = [
        "--no-index",
        "--find-links",
        tmp_path,
        "a-package-that-is-not-there==1",
    ]
    with pytest.raises(InstallError, match="no a-package-that-is-not-there==1 for this Python"):
        processes.run_pip(Path(sys.executable), ["install", *options])
    assert "No matching distribution" in (tmp_path / "pip.log").read_text()


def test_missing_system_libraries_are_named_with_their_packages() -> None:
    loader = "ImportError: libXi.so.6: cannot open shared object file: No such file or directory"
    assert system_libraries.missing_libraries(loader) == ["libXi.so.6"]
    listed = (
        "\tlibSM.so.6 => not found\n\tlibc.so.6 => /lib/libc.so.6 (0x7f)\n"
        "\tlibxkbcommon.so.0 => not found\n\tlibSM.so.6 => not found\n\tlibodd-1.2.so => not found"
    )
    libraries = ["libSM.so.6", "libodd-1.2.so", "libxkbcommon.so.0"]
    assert system_libraries.missing_libraries(listed) == libraries
    sentence = system_libraries.missing_sentence(libraries)
    assert "install libSM.so.6, libodd-1.2.so, libxkbcommon.so.0" in sentence
    assert "apt install libsm6 libxkbcommon0)" in sentence
    assert "apt" not in system_libraries.missing_sentence(["libodd-1.2.so"])


# torch


def test_which_build_of_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch_build, "has_nvidia_gpu", lambda: True)
    assert torch_build.choose(None, None) == "cuda"
    assert torch_build.choose(None, "cpu") == "cpu"
    assert torch_build.choose("cu126", "cpu") == "cu126"
    monkeypatch.setattr(torch_build, "has_nvidia_gpu", lambda: False)
    assert torch_build.choose(None, None) == "cpu"


def test_where_a_build_of_torch_comes_from() -> None:
    assert torch_build.index_name("cpu", "Linux") == "cpu"
    assert torch_build.index_name("cuda", "Linux") is None
    assert torch_build.index_name("cpu", "Windows") is None
    assert torch_build.index_name("cuda", "Windows") == torch_build.DEFAULT_CUDA
    assert torch_build.index_name("cu126", "Linux") == "cu126"
    assert torch_build.index_name("cpu", "Darwin") is None
    with pytest.raises(InstallError, match="no CUDA on macOS"):
        torch_build.index_name("cuda", "Darwin")


def test_reachable_tells_an_answer_from_silence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert not torch_build.reachable(f"http://127.0.0.1:{silent.getsockname()[1]}/", 0.3)
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        # it knows no HEAD and answers 501, which is an answer
        assert torch_build.reachable(f"http://127.0.0.1:{server.server_port}/")
        server.shutdown()
    assert not torch_build.reachable("http://127.0.0.1:1/")


def test_torch_is_one_exact_version_and_torchvision_is_never_pinned() -> None:
    pins = [
        line.split(" ;")[0]
        for path in ROOT.glob("*/requirements*.txt")
        for line in path.read_text().splitlines()
        if line and not line.startswith("#")
    ]
    assert len([pin for pin in pins if pin.startswith("torch==")]) == 1
    assert not [pin for pin in pins if pin.startswith("torchvision")]
    for pin in pins:
        name, equals, version = pin.partition("==")
        assert name, pin
        assert equals, pin
        assert version[0].isdigit(), pin


# the extension


def test_every_platform_and_python_of_blender_has_its_wheels() -> None:
    wheels = extension.read_wheel_list(extension.WHEEL_LIST.read_text(encoding="utf-8"))
    names = [wheel.filename for wheel in wheels]
    assert len(set(names)) == len(names)
    for system in ("manylinux", "win_amd64", "macosx"):
        for package in ("pyzmq", "msgspec"):
            here = [name for name in names if name.startswith(package) and system in name]
            assert any("-cp311-cp311-" in name for name in here), (package, system)
            later = [name for name in here if "-cp313-cp313-" in name or "-cp312-abi3-" in name]
            assert later, (package, system)


def test_a_wheel_asks_pip_for_exactly_itself() -> None:
    (wheel,) = extension.read_wheel_list(
        f"# wheels\n\n{'a' * 64}  pyzmq-27.3.0-cp312-abi3-manylinux_2_26_x86_64.linux_x86_64.whl\n"
    )
    assert wheel.requirement() == f"pyzmq==27.3.0 --hash=sha256:{'a' * 64}"
    assert wheel.tag_options() == [
        "--implementation=cp",
        "--python-version=3.12",
        "--abi=abi3",
        "--platform=manylinux_2_26_x86_64",
        "--platform=linux_x86_64",
    ]


@pytest.mark.parametrize("line", ["pyzmq==27.3.0", f"{'a' * 63}  a-1-cp311-cp311-win_amd64.whl"])
def test_a_bad_line_in_the_list_of_wheels_is_quoted(line: str) -> None:
    with pytest.raises(InstallError, match=r"not a sha256 and a wheel's name: '") as error:
        extension.read_wheel_list(line)
    assert line in str(error.value)


def test_cached_wheels_need_no_pip_and_damaged_ones_are_fetched_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(extension, "CACHE", tmp_path)
    monkeypatch.setattr(extension, "WHEEL_CACHE", tmp_path / "wheels")
    path = tmp_path / "wheels" / "a-1-cp311-cp311-win_amd64.whl"
    path.parent.mkdir()
    path.write_bytes(b"a wheel")
    wheel = extension.Wheel(path.name, environments.file_hash(path))
    absent = tmp_path / "no Python"
    extension.fetch_wheels([wheel], absent)
    path.write_bytes(b"a damaged wheel")
    with pytest.raises(FileNotFoundError):
        extension.fetch_wheels([wheel], absent)


def test_wheels_are_listed_before_the_manifests_first_table() -> None:
    manifest = 'id = "x"\nplatforms = ["linux-x64"]\n\n[permissions]\nnetwork = "why"\n'
    data = tomllib.loads(extension.as_shipped(manifest, ["a.whl", "b.whl"]))
    assert data["wheels"] == ["./wheels/a.whl", "./wheels/b.whl"]
    assert data["permissions"] == {"network": "why"}
    data = tomllib.loads(extension.as_shipped('id = "x"', ["a.whl"]))
    assert data == {"id": "x", "wheels": ["./wheels/a.whl"]}
    with pytest.raises(InstallError, match="must not have wheels"):
        extension.as_shipped("wheels = []\n", [])


def test_a_website_is_written_where_one_is_told() -> None:
    manifest = (ROOT / "blender_addon" / "blender_manifest.toml").read_text("utf-8")
    assert "website" not in tomllib.loads(extension.as_shipped(manifest, []))
    page = "https://exämple.org/👣?b='c'"
    data = tomllib.loads(extension.as_shipped(manifest, ["a.whl"], page))
    assert (data["website"], data["wheels"]) == (page, ["./wheels/a.whl"])
    assert data["permissions"] == tomllib.loads(manifest)["permissions"]
    with pytest.raises(InstallError, match="must not have website"):
        extension.as_shipped('website = "https://a.org"\n', [], page)


@pytest.mark.parametrize(
    "website", ["", "example.org", "file:///a", "https://", "https://[a", "https://a.org/b c"]
)
def test_a_website_that_is_no_address_is_refused_at_once(website: str) -> None:
    done = command_line("addon", "--website", website)
    assert done.returncode == 1
    assert "--website takes a page's whole address" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("Linux", "x86_64", "linux_x64"),
        ("Windows", "AMD64", "windows_x64"),
        ("Darwin", "arm64", "macos_arm64"),
        ("Darwin", "x86_64", "macos_x64"),
    ],
)
def test_blenders_names_of_platforms(system: str, machine: str, name: str) -> None:
    assert extension.blender_platform(system, machine) == name


@posix_only
def test_a_blender_is_found_and_an_unfit_one_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for body, said in (
        ("echo hello", "is no program that answers as Blender"),
        ("echo Blender 4.2.1", r"is Blender 4\.2: 4\.5 or newer is needed"),
    ):
        with pytest.raises(InstallError, match=said):
            extension.find_blender(program(tmp_path / "blender", body))
    with pytest.raises(InstallError, match="is no program that answers"):
        extension.find_blender(str(tmp_path / "absent"))
    path = Path(program(tmp_path / "blender", "echo Blender 5.2.0"))
    assert extension.find_blender(str(path)) == path
    monkeypatch.chdir(tmp_path)
    assert extension.find_blender("./blender") == path
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert extension.find_blender("blender") == path
    bundle = program(tmp_path / "Blender.app/Contents/MacOS/Blender", "echo Blender 4.5.1 LTS")
    assert extension.find_blender(str(tmp_path / "Blender.app")) == Path(bundle)


@posix_only
def test_the_newest_blender_that_fits_is_found_where_installers_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path / 'none'}:/usr/bin:/bin")
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    monkeypatch.setattr(extension, "usual_places", lambda home: sorted(home.glob("b-*"))[::-1])
    with pytest.raises(InstallError, match="or newer was found: get one"):
        extension.any_blender()
    for version in ("3.6.0", "4.5.1", "5.2.0"):
        program(tmp_path / f"b-{version}", f"echo Blender {version}")
    assert extension.any_blender() == tmp_path / "b-5.2.0"
    (tmp_path / "b-5.2.0").unlink()
    assert extension.any_blender() == tmp_path / "b-4.5.1"


@pytest.mark.parametrize(
    ("system", "program"),
    [
        ("Linux", "blender-5.2.0-linux-x64/blender"),
        ("Darwin", "Applications/Blender.app/Contents/MacOS/Blender"),
        ("Windows", "Blender Foundation/Blender 5.2/blender.exe"),
    ],
)
def test_where_installers_put_blender(
    system: str, program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setenv("PROGRAMFILES", str(tmp_path))
    path = tmp_path / program
    path.parent.mkdir(parents=True)
    path.touch()
    assert path in extension.usual_places(tmp_path)


def test_the_add_on_tells_the_size_that_the_installer_knows() -> None:
    told = (processes.ROOT / "blender_addon/jobs/own_backend.py").read_text(encoding="utf-8")
    assert f"up to {environments.BACKEND.needed_bytes // 10**9} GB on the disk" in told
    assert f"up to {environments.CUDA_BYTES // 10**9} GB with an NVIDIA GPU" in told


@posix_only
@pytest.mark.parametrize("loaded", [True, False])
def test_an_extension_counts_as_installed_only_once_blender_has_loaded_it(
    tmp_path: Path, loaded: bool
) -> None:
    # Blender's own exit code is 0 for an extension that it refuses
    blender = program(
        tmp_path / "blender",
        f'[ "$1" = --command ] && echo "ERROR probe: the reason\n..." || echo "loaded: {loaded}"',
    )
    if loaded:
        extension.install_into(Path(blender), tmp_path / "probe-1.0-linux_x64.zip")
        return
    with pytest.raises(InstallError, match=r"does not load probe-1.*: ERROR probe: the reason$"):
        extension.install_into(Path(blender), tmp_path / "probe-1.0-linux_x64.zip")


# the tests' own report


def test_counts_and_failures_of_a_real_pytest_run(tmp_path: Path) -> None:
    (tmp_path / "test_sample.py").write_text(
        "import pytest\n"
        "def test_good(): pass\n"
        "def test_bad(): assert 1 == 2, 'first\\nsecond'\n"
        "@pytest.fixture\n"
        "def broken(): raise ValueError\n"
        "def test_error(broken): pass\n"
        "@pytest.mark.skip\n"
        "def test_skipped(): pass\n"
    )
    report = tmp_path / "report.xml"
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        f"--junitxml={report}",
        f"--rootdir={tmp_path}",
        tmp_path,
    ]
    assert processes.capture(command, cwd=tmp_path)[0] == 1
    assert pytest_runs.junit_counts(report) == (1, 2, 1)
    bad, error = pytest_runs.junit_failures(report)
    assert bad.startswith("test_sample::test_bad: AssertionError: first second")
    assert error == 'test_sample::test_error: failed on setup with "ValueError"'


def test_named_tests_run_only_in_the_environment_they_belong_to() -> None:
    here = "tests/backend/test_install.py"
    everything = (["-k", "x"], ["tests/protocol", "tests/backend"])
    assert pytest_runs.split_arguments(["-k", "x"], checks.BACKEND_TESTS) == everything
    assert pytest_runs.split_arguments(["-x", here], checks.BACKEND_TESTS) == (["-x"], [here])
    assert pytest_runs.split_arguments([f"{here}::test_a"], checks.BLENDER_TESTS) is None
    assert pytest_runs.split_arguments(["tests"], checks.BLENDER_TESTS) == ([], ["tests/blender"])


def test_each_file_of_blenders_tests_runs_alone():
    runs = pytest_runs.by_file(["tests/blender"])
    assert ["tests/blender/test_words.py"] in runs
    assert len(runs) == len(list((checks.ROOT / "tests/blender").glob("test_*.py")))
    one, other = "tests/blender/test_words.py::test_a", "tests/blender/test_words.py::test_b"
    assert pytest_runs.by_file([one, "tests/blender/test_frame.py", other]) == [
        [one, other],
        ["tests/blender/test_frame.py"],
    ]


def test_a_run_that_breaks_off_counts_as_a_failure(tmp_path: Path) -> None:
    command: list[str | Path] = [sys.executable, "-m", "pytest", "-q", tmp_path]
    crash: list[str | Path] = [sys.executable, "-c", "raise SystemExit(3)"]

    def step(command: list[str | Path], nothing_is_fine: bool) -> pytest_runs.Step:
        return pytest_runs.pytest(pytest_runs.Run("a run", command, nothing_is_fine), {})

    assert step(command, nothing_is_fine=True).failed == 0
    assert step(command, nothing_is_fine=False).failed == 1
    crashed = step(crash, nothing_is_fine=True)
    assert (crashed.failed, crashed.failures) == (1, ("a run broke off with exit code 3",))
    assert checks.check("good", lambda: 0).passed == 1
    assert checks.check("bad", lambda: 2).failed == 1


def test_runs_side_by_side_keep_their_outputs_apart_and_a_crash_costs_its_own_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both wait for each other, so that they can only pass at the same time."""
    (tmp_path / "test_sample.py").write_text(
        "import os, pathlib, time\n"
        "def test_meets_the_other():\n"
        "    here = pathlib.Path(__file__).parent\n"
        "    (here / os.environ['OWN']).touch()\n"
        "    while len(list(here.glob('here-*'))) < 2:\n"
        "        time.sleep(0.01)\n"
        "    for _ in range(50):\n"
        "        print('line of', os.environ['OWN'], flush=True)\n"
        "        time.sleep(0.001)\n"
    )

    def run_of(name: str) -> pytest_runs.Run:
        start = f"import os, sys, pytest; os.environ['OWN'] = {name!r}; sys.exit(pytest.main())"
        options = ["-sq", "-p", "no:cacheprovider", tmp_path]
        return pytest_runs.Run(name, [sys.executable, "-c", start, *options], False)

    kill = "import os, signal; print('last words', flush=True); os.kill(os.getpid(), 9)"
    runs = [
        run_of("here-1"),
        run_of("here-2"),
        pytest_runs.Run("crash", [sys.executable, "-c", kill], True),
    ]
    steps = pytest_runs.side_by_side(runs, {}, 2)
    assert [(step.name, step.passed, step.failed) for step in steps] == [
        ("here-1", 1, 0),
        ("here-2", 1, 0),
        ("crash", 0, 1),
    ]
    said = capsys.readouterr().out
    for name in ("here-1", "here-2"):
        part = said.partition(f"== {name} ")[2].partition("\n== ")[0]
        assert part.count(f"line of {name}\n") == 50
        assert said.count(f"line of {name}\n") == 50
    assert "last words" in said.partition("== crash ")[2]
    assert pytest_runs.total(steps) == "2 passed, 1 failed, 0 skipped"


def test_the_last_lines_say_which_blenders_were_tested(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    absent = pythons.PythonMissingError("Python 3.13 is needed and was not found.")

    def find(version: str, _: object) -> str:
        raise absent

    monkeypatch.setattr(pythons, "find", find)
    without = checks.blenders(tmp_path)
    monkeypatch.setattr(pythons, "find", lambda version, _: f"/usr/bin/python{version}")
    complete = checks.blenders(tmp_path)
    names = [blender.name for blender in complete]
    assert [name.rpartition(".")[0] for name in names] == [
        "Blender 4.5",
        "Blender 5.0",
        "Blender 5.2",
    ]
    assert [blender.environment is None for blender in without] == [False, False, True]
    newest = complete[-1].environment
    assert newest is not None
    assert (newest.base, newest.version) == ("/usr/bin/python3.13", "3.13")

    runs = checks.blender_runs(without, ["slow"], ["-x", "tests/blender/test_words.py"])
    assert [run.name for run in runs] == [f"{name} test_words" for name in names[:2]]
    first, second = (" ".join(map(str, run.command)) for run in runs)
    assert first.endswith("-m not slow -x tests/blender/test_words.py")
    assert second.endswith("-m not slow and not one_blender -x tests/blender/test_words.py")
    steps = [
        pytest_runs.Step("backend", 1.0, 5, 0),
        pytest_runs.Step(runs[0].name, 1.0, 3, 0),
        pytest_runs.Step(runs[1].name, 1.0, 1, 1, 1, ("a.b::test_c: ValueError",)),
    ]
    checks.sum_up(steps, without)
    assert capsys.readouterr().out.splitlines()[-5:] == [
        f"failed, {runs[1].name}: a.b::test_c: ValueError",
        f"{names[0]}: 3 passed, 0 failed, 0 skipped",
        f"{names[1]}: 1 passed, 1 failed, 1 skipped",
        f"{names[2]}: not tested. {absent}",
        "9 passed, 1 failed, 1 skipped",
    ]


def test_no_pinned_package_brings_torch_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever asks for torch would make pip fetch the registry's CUDA build, 4 GB, before torch's
    turn comes: nothing that the pinned packages ask for is installed but what is pinned.
    """
    asked: list[list[str | Path]] = []
    monkeypatch.setattr(environments, "run_pip", lambda python, args, count: asked.append(args))
    monkeypatch.setattr(environments, "capture", lambda command: (1, "nerfstudio 1.1.5 requires"))
    environment = Environment(tmp_path, ("backend/requirements.txt",), 0)
    environments.install(environment, Plan("make", environment.requirements), None)
    assert [arguments[:2] for arguments in asked] == [["install", "--no-deps"]]


def test_the_pins_are_complete() -> None:
    """As they are installed without what they ask for; nerfstudio does without on purpose."""
    done = subprocess.run([sys.executable, "-m", "pip", "check"], capture_output=True, text=True)
    assert environments.misfits(done.stdout) == []
    assert environments.misfits("diffusers 1 requires torch, which is not installed.\n") != []
    assert environments.misfits("No broken requirements found.\n") == []
