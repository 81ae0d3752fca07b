# shellcheck shell=bash disable=SC2154
# Read by the scripts that run what is in tests/python. `fetch_packages FILE` puts what the file of requirements names into a
# folder of the cache (that of scripts/setup), once, and lets Python find it there. Where that cannot be, the script ends with a
# line that says so. `$name` is the script's own name.

skip() {
    echo "$name: SKIPPED: $1"
    exit 0
}
command -v python3 >/dev/null || skip "python3 is not installed; what is tested with it was not tested"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || skip "it needs Python 3.11 or newer, this is $(python3 -V)"
python3 -m pip --version >/dev/null 2>&1 || skip "python3 has no pip; what is tested with its packages was not tested"

# The folder's name says all that decides its content, so that other requirements never meet an old folder. It is filled beside
# its place and moved there: two that fetch at once do not meet, and none is ever half full.
fetch_packages() {
    local requirements=$1 cache packages partial
    cache=$(scripts/setup --cache)
    packages=$cache/$(python3 - "$requirements" <<'PYTHON'
import hashlib, pathlib, sys, sysconfig
file = pathlib.Path(sys.argv[1])
digest = hashlib.sha256(file.read_bytes()).hexdigest()[:8]
print(f"python-{file.stem}-{sys.implementation.cache_tag}-{sysconfig.get_platform()}-{digest}")
PYTHON
    )
    if [ ! -d "$packages" ]; then
        echo "$name: fetching the packages of $requirements"
        mkdir -p "$cache"
        partial=$(mktemp -d "$cache/python.partial.XXXXXX")
        # Without dependencies, because the file names them all; wheels only, because nothing is to be built or run here.
        if ! python3 -m pip install --quiet --disable-pip-version-check --no-deps --only-binary :all: --target "$partial" \
            --requirement "$requirements" 2>"$partial.log"; then
            tail -n 3 "$partial.log" >&2
            rm -rf "$partial" "$partial.log"
            skip "pip could not fetch the packages; what is tested with them was not tested"
        fi
        chmod 755 "$partial"
        python3 -c 'import os, sys; os.rename(*sys.argv[1:])' "$partial" "$packages" 2>/dev/null || rm -rf "$partial"
        rm -f "$partial.log"
    fi
    export PYTHONPATH=$packages
    # The user's own packages are no part of the tests.
    export PYTHONNOUSERSITE=1
}
