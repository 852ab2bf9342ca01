"""Where the program starts: `--version` answers without loading anything else."""

from __future__ import annotations

import sys

from handful import __version__


def main() -> None:
    """Run the command line."""
    if sys.argv[1:] == ["--version"]:
        sys.stdout.write(f"handful {__version__}\n")
        return
    import gc

    # A command ends before its garbage would be in the way; collecting while modules load takes a tenth of its start.
    gc.set_threshold(100_000)
    from handful.cli.main import run

    code = run()
    # Nor is there anything to collect at the end, which Python would look for in all that was loaded (70 ms).
    gc.freeze()
    sys.exit(code)


if __name__ == "__main__":
    main()
