# Sourced by the scripts that jobs call: ${sparseprop[@]} is the command line of .venv, or of the PATH; SPARSEPROP names another.
here="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
if [[ -z "${SPARSEPROP:-}" ]]; then
    SPARSEPROP=sparseprop
    [[ -x "$here/.venv/bin/sparseprop" ]] && SPARSEPROP="$here/.venv/bin/sparseprop"
fi
read -ra sparseprop <<<"$SPARSEPROP"
# Ranks share the cores: a thread pool in each of them would only fight with the others.
export OMP_NUM_THREADS="${OMP_NUM_THREADS:-1}"
