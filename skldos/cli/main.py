"""The list of commands, and the format of their errors and warnings."""

import argparse
import atexit
import contextlib
import gc
import os
import sys
import textwrap
import traceback
import warnings

import skldos
from skldos.cli import convert, demo, evaluate, fit, info, md, predict
from skldos.exceptions import SkldosError

#: Modules with ``HELP``, ``EXAMPLE``, ``add_arguments`` and ``run``.
COMMANDS = {
    "demo": demo,
    "convert": convert,
    "info": info,
    "fit": fit,
    "evaluate": evaluate,
    "predict": predict,
    "md": md,
}
#: Errors caused by the data or the arguments rather than by the program.
EXPECTED_ERRORS = (SkldosError, ValueError, TypeError, OSError, ImportError, NotImplementedError)
#: Width of a description; argparse does not wrap it, because examples keep their lines.
WIDTH = 80
#: Exit status of an interrupted program.
INTERRUPT_STATUS = 130
#: New objects after which Python looks for unreachable cycles; its own number is below 2000.
COLLECTION_THRESHOLD = 10_000


#: How messages of the library name what the command line sets by options.
OPTIONS = {
    "pass temperature": "pass --temperature",
    "temperature must be": "--temperature must be",
    "pass pseudopotentials": "pass --pseudo",
    "needs a dos_model": "needs --dos-model",
    "lacks ldos, needed here": "lacks ldos, which 'skldos convert' reads with --ldos",
    "; skldos.predict needs only": "; 'skldos predict' needs only",
}


def main(argv=None):
    """Run the command line.

    Parameters
    ----------
    argv : sequence of str, optional
        Arguments; None uses those of the process.

    Returns
    -------
    int
        Exit status: 0, also if the reader of a pipe stops; 1 after an error caused by the data; 130
        if interrupted. Invalid arguments end the program with status 2.
    """
    for stream in (sys.stdout, sys.stderr):
        # A terminal that lacks a character of a table gets another one.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    parser = make_parser()
    options = parser.parse_args(argv)
    if options.command is None:
        parser.print_help()
        return 0
    with rare_collections(), warnings.catch_warnings():
        warnings.showwarning = show_warning
        try:
            COMMANDS[options.command].run(options)
            if sys.stdout is not None:
                sys.stdout.flush()
        except BrokenPipeError:
            # The reader, such as head, has enough. Nothing may be left for Python to write.
            with contextlib.suppress(AttributeError, OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        except EXPECTED_ERRORS as error:
            if options.traceback:
                traceback.print_exc()
            print(f"skldos: error: {with_options(one_line(error))}", file=sys.stderr)
            return 1
        except KeyboardInterrupt:
            print("skldos: interrupted", file=sys.stderr)
            return INTERRUPT_STATUS
    return 0


@contextlib.contextmanager
def rare_collections():
    """Look for unreachable cycles less often within a with block, and never when Python exits.

    The modules of torch and matplotlib make a million objects that stay. Searching them again and
    again takes a tenth of the time of ``skldos demo``.
    """
    thresholds = gc.get_threshold()
    gc.set_threshold(max(thresholds[0], COLLECTION_THRESHOLD), *thresholds[1:])
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        gc.set_threshold(*thresholds)


def make_parser():
    """Return the parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="skldos",
        description="Machine-learned density functional theory. For help on a command, run "
        "'skldos COMMAND --help'; 'python -m skldos' runs the demo.",
    )
    parser.add_argument("--version", action="version", version=f"skldos {skldos.__version__}")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, module in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=module.HELP,
            description=textwrap.fill(module.DESCRIPTION, WIDTH),
            epilog="examples:\n" + "\n".join(f"  {line}" for line in module.EXAMPLES),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        module.add_arguments(command)
        command.add_argument(
            "--traceback", action="store_true", help="show where in the program an error occurred"
        )
    return parser


def show_warning(message, category, filename, lineno, file=None, line=None):
    """Print a warning as one line."""
    print(f"skldos: warning: {one_line(message)}", file=sys.stderr)


def with_options(text):
    """Return a message of the library that names options where that names arguments."""
    for argument, option in OPTIONS.items():
        text = text.replace(argument, option)
    return text


def one_line(message):
    """Return a message without line breaks, or the type of the error if it is empty."""
    return " ".join(str(message).split()) or type(message).__name__
