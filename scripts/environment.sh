# Sourced by the scripts beside it: makes the environment once, then says where its Python is.
#
# CLRUN_VENV names the environment's folder (default: .venv in the checkout). It is made from the
# hash-pinned requirements with uv if there is one, else with venv and pip, and made again only
# when the requirements change.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
venv=${CLRUN_VENV:-$root/.venv}
# pytest's words for a process on each core; a file's tests stay together, since they share fixtures,
# and files come in the order of tests/conftest.py.
in_parallel=(-n logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder)

find_python() {
    local candidate
    for candidate in "${CLRUN_PYTHON:-}" python3.12 python3.11 python3.13 python3 python; do
        if [ -n "$candidate" ] && "$candidate" -c \
            'import sys, venv; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' 2>/dev/null; then
            printf '%s\n' "$candidate"
            return
        fi
    done
    echo "clrun needs Python 3.11 to 3.13 with venv; set CLRUN_PYTHON to one." >&2
    return 2
}

# make_environment NAME: install NAME.txt; requirements-dev.txt contains all of requirements.txt.
make_environment() {
    local name=$1 python
    [ "$(cat "$venv/.$name" 2>/dev/null)" = "$(fingerprint "$name")" ] && return
    python=$(find_python) || return
    echo "Making the environment in $venv, once." >&2
    if command -v uv >/dev/null; then
        [ -x "$venv/bin/python" ] || uv venv --quiet --python "$python" "$venv"
        local install=(env "VIRTUAL_ENV=$venv" uv pip install --compile-bytecode)
    else
        [ -x "$venv/bin/python" ] || "$python" -m venv "$venv"
        "$venv/bin/python" -c 'import pip' 2>/dev/null || "$venv/bin/python" -m ensurepip >/dev/null
        local install=("$venv/bin/python" -m pip install --disable-pip-version-check)
    fi
    echo "1 of 2: PyTorch and all else that clrun stands on, about 6 GB; this takes minutes ..." >&2
    "${install[@]}" --require-hashes -r "$root/$name.txt" >&2
    echo "2 of 2: clrun itself ..." >&2
    "${install[@]}" --quiet --no-deps --no-build-isolation -e "$root" >&2
    fingerprint "$name" >"$venv/.$name"
    [ "$name" = requirements ] || fingerprint requirements >"$venv/.requirements"
}

# What the environment was made from: when this changes, it is brought up to date.
fingerprint() {
    { cat "$root/$1.txt" "$root/pyproject.toml"; echo "$root"; } | cksum
}
