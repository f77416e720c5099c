"""The demo's server ends with the demo, also where that is ended from outside."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

DEMO = Path(__file__).parents[2] / "blender_addon" / "demo"
SERVER = """#!/bin/sh
# python -m backend.server --model M --connection-file FILE ...
echo $$ > "$6"
exec sleep 60
"""
SCRIPT = """
import sys, time
from pathlib import Path
from real_addon import server
with server(Path(sys.argv[1]), "demo", Path(sys.argv[2]), Path(sys.argv[3])):
    print("up", flush=True)
    time.sleep(60)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows ends processes without asking them")
def test_the_server_ends_where_the_demo_is_asked_to(tmp_path: Path) -> None:
    stand_in, number = tmp_path / "python", tmp_path / "connection.json"
    stand_in.write_text(SERVER)
    stand_in.chmod(0o755)
    demo = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, stand_in, number, tmp_path / "log"],
        env=os.environ | {"PYTHONPATH": str(DEMO)},
        stdout=subprocess.PIPE,
    )
    try:
        assert demo.stdout is not None
        assert demo.stdout.readline() == b"up\n"
        server = int(number.read_text())
        demo.send_signal(signal.SIGTERM)
        assert demo.wait(20) == 128 + signal.SIGTERM
        with pytest.raises(ProcessLookupError):  # the demo has waited for it
            os.kill(server, 0)
    finally:
        demo.kill()
        demo.wait()
