"""``python -m sparseprop_dist``: the same as the command ``sparseprop``."""

from sparseprop_dist.cli import main

if __name__ == "__main__":
    main()
