#!/bin/bash
# run.sh OUT [--device cpu --small]: whether Watch Your Steps works on this machine's GPU, in ten minutes at most and
# without a network. Needs torch, numpy and transformers in python3, or in the Python that PYTHON names; installs nothing
# into it. Further options go to `bench gpu`. Writes into OUT, a new folder, report.json (after every stage), bench.txt
# and tests.txt. The exit status is 0 where all is as it should be, 1 where it is not, 2 where nothing could be tried.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
python=${PYTHON:-python3}
install_s=90 bench_s=310 tests_s=190 # ten minutes in all
[ $# -ge 1 ] || { echo "usage: bash run.sh OUT [options of bench gpu, such as --device cpu --small]" >&2; exit 2; }
[ ! -e "$1" ] || { echo "$1 is there already: name a new folder." >&2; exit 2; }
mkdir -p "$1" && out=$(cd "$1" && pwd) || exit 2
trap 'rm -rf "${site:-}"; rmdir "$out" 2>/dev/null' EXIT # OUT stays where something was tried
shift
"$python" -c 'import importlib.util as i, sys; sys.exit(not all(map(i.find_spec, ["torch", "numpy", "transformers"])))' ||
    { echo "$python has no torch, numpy and transformers: name one that has, PYTHON=/path/to/python bash run.sh OUT." >&2; exit 2; }
if [ -e "$here/without.txt" ]; then
    "$python" - "$here/without.txt" <<'LACKING' || exit 2
import importlib.metadata, sys

there = {(one.name or "").lower().replace("_", "-") for one in importlib.metadata.distributions()}
lacking = [name for name in open(sys.argv[1]).read().split() if name.lower().replace("_", "-") not in there]
if lacking:
    sys.exit(f"{sys.executable} has no {', '.join(lacking)}, which the kit was made without: leave --without out.")
LACKING
fi

site=$(mktemp -d) || exit 2
timeout -k 5 $install_s "$python" -m pip install -q --no-index --no-deps --no-compile --target "$site" "$here"/wheels/*.whl
case $? in
0) ;;
124 | 137) echo "Unpacking the wheels takes more than $install_s s here: is the machine busy with something else?" >&2; exit 2 ;;
*) echo "The wheels do not fit $("$python" --version): make the kit for it, as install.py gpu-kit --help says." >&2; exit 2 ;;
esac
export PYTHONPATH="$here/source:$site" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1 HF_HUB_OFFLINE=1
cd "$here/source" || exit 2

timeout -k 5 $bench_s "$python" -m backend bench gpu --out "$out" --seconds $((bench_s - 60)) "$@" 2>&1 | tee "$out/bench.txt"
bench=${PIPESTATUS[0]}
mapfile -t files < <(grep -lE '^(@| +|pytestmark = )pytest\.mark\.gpu\b' tests/backend/test_*.py)
timeout -k 5 $tests_s "$python" -m pytest -q -p no:cacheprovider -m gpu "${files[@]}" >"$out/tests.txt" 2>&1
tests=$?

"$python" - "$out" "$bench" "$tests" <<'SUMMARY'
import json, pathlib, sys

out, (bench, tests) = pathlib.Path(sys.argv[1]), map(int, sys.argv[2:])
report = out / "report.json"
figures = json.loads(report.read_text())["figures"] if report.exists() else {}
found = {name: stage.get("result", "was cut off") for name, stage in figures.items()}
said = (out / "tests.txt").read_text().strip().splitlines() or ["nothing"]
print("\nIn short:")
for name, result in found.items():
    print(f"  {name}: {result}")
ended = {0: "came to its end", 124: "ran out of time", 137: "ran out of time"}
print(f"  bench gpu {ended.get(bench, f'ended with {bench}')}")
print(f"  tests marked gpu: {said[-1].strip('= ') if tests not in (124, 137) else 'ran out of time'}")
good = bench == 0 and tests == 0 and bool(found) and set(found.values()) == {"works"}
print("All is as it should be." if good else f"Not all is as it should be: {out} has the details.")
sys.exit(0 if good else 1)
SUMMARY
