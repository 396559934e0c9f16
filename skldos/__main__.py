"""``python -m skldos``: the command line; without a command, it runs the demo."""

import sys

from skldos.cli import main

#: Options that do not belong to the demo.
GENERAL_OPTIONS = ("-h", "--help", "--version")

if __name__ == "__main__":
    arguments = sys.argv[1:]
    of_demo = not arguments or (
        arguments[0].startswith("-") and arguments[0] not in GENERAL_OPTIONS
    )
    sys.exit(main(["demo", *arguments] if of_demo else arguments))
