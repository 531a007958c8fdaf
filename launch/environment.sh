# Sourced by the scripts beside it: makes .venv in the project's folder and installs the package into it, once.
# Afterwards: $root is the project's folder, $venv_bin the folder of python and mpiexec. Needs bash and Python >= 3.11 with venv.

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
venv="$root/.venv"
venv_bin="$venv/bin"

# Ranks share the cores: a thread pool in each of them would only fight with the others.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"

fail() {
    echo "launch: error: $*" >&2
    exit 2
}

# Print the first Python that is new enough; PYTHON=/path/to/python chooses one.
find_python() {
    local candidate
    for candidate in ${PYTHON:+"$PYTHON"} python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    return 1
}

# install EXTRAS: install the package (editable) with these extras, unless a stamp says that it was done for this very pyproject.toml in this
# folder. The stamp is written last, so that an interrupted installation is done again.
install() {
    local extras="$1" python key stamp
    key="$(printf '%s\n' "$root" | cat - "$root/pyproject.toml" | sha256sum | cut -d ' ' -f 1)"
    stamp="$venv/installed-${extras//,/-}"
    if [[ -x "$venv_bin/python" && "$(cat "$stamp" 2>/dev/null)" == "$key" ]]; then
        return
    fi
    python="$(find_python)" || fail "Python 3.11 or newer is needed, and $(python3 --version 2>/dev/null || echo 'no python3') was found;" \
        "install one (Debian: apt install python3 python3-venv) or name it with PYTHON=/path/to/python"
    "$python" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$python cannot make virtual environments; on Debian: apt install python3-venv"
    echo "Installing into $venv (once; needs the network) ..." >&2
    # A virtual environment does not survive a move of its folder or the removal of its Python.
    if ! "$venv_bin/python" -m pip --version >/dev/null 2>&1 || [[ "$(cat "$venv/root" 2>/dev/null)" != "$root" ]]; then
        "$python" -m venv --clear "$venv" || fail "could not make $venv with $python"
        printf '%s\n' "$root" >"$venv/root"
    fi
    "$venv_bin/python" -m pip install --quiet --disable-pip-version-check --editable "$root[$extras]" ||
        fail "the installation into $venv failed; pip's message is above"
    printf '%s\n' "$key" >"$stamp"
}
