"""`python -m pipetrace` and the command `pipetrace`: the same door."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command line, and exit with its code."""
    if not sys.flags.safe_path:
        # The current folder after `-m`, else the command's: a user's click.py there is not ours.
        del sys.path[0]
    from pipetrace.cli import main as run

    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
