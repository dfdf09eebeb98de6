#!/usr/bin/env bash
# Pin requirements.txt and requirements-dev.txt again from pyproject.toml, the oldest versions that it
# declares, and the environment that scripts/bench measures Avalanche in, with hashes and without
# index addresses. Needs uv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
pin() {
    uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url \
        --no-annotate --no-header "$@"
}
build=$(mktemp)
printf 'hatchling>=1.27\neditables\n' >"$build"  # the editable install builds with these
pin pyproject.toml "$build" -o requirements.txt
pin pyproject.toml "$build" --extra dev -o requirements-dev.txt
{ cat "$build"; echo 'setuptools>=70'; grep -E '^(pytest|pytest-xdist|hypothesis)==' requirements-dev.txt | tr -d '\\'; } >"$build.oldest"
pin pyproject.toml "$build.oldest" --extra onnx --extra ray --extra slurm --extra tune --resolution lowest-direct -o requirements-oldest.txt
printf 'avalanche-lib==0.6.0\ntorch==2.15.0\n' >"$build"  # what scripts/bench measures against
pin "$build" -o benchmarks/pinned/avalanche.txt
rm "$build" "$build.oldest"
