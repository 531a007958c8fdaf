"""The command line, also as ``python -m sparseprop_dist``."""

from sparseprop_dist import warning


def main() -> None:
    """Run the command line of this process, on every rank, and exit."""
    warning.listen()
    from sparseprop_dist.cli import main as run

    run()


if __name__ == "__main__":
    main()
