"""Progress bars, shown only on a terminal or in a notebook."""

import math
import sys


def progress_bar(items=None, *, desc, unit="it", total=None, shown=True, leave=True):
    """Return a tqdm progress bar; if stderr is a file, print only one line at the end.

    Parameters
    ----------
    items : iterable, optional
        What to go through.
    desc, unit : str
        Name of the loop and of one turn.
    total : int, optional
        Number of turns where `items` do not say it.
    shown : bool, default=True
        Whether there is a bar at all.
    leave : bool, default=True
        Whether it stays when it is complete; in a file it does.

    Returns
    -------
    tqdm.tqdm

    Examples
    --------
    >>> sum(progress_bar([1, 2, 3], desc="sum", shown=False))
    6
    """
    from tqdm.auto import tqdm  # searches for widgets, which takes time

    watched, shown = is_watched(), shown and can_write()
    rare = {} if watched else {"mininterval": math.inf, "maxinterval": math.inf}
    stays = leave or not watched
    options = {"total": total, "leave": stays, "disable": not shown, **rare}
    return tqdm(items, desc=desc, unit=unit, **options)


def is_watched():
    """Return whether stderr is a terminal, or this is a notebook."""
    return "ipykernel" in sys.modules or (can_write() and sys.stderr.isatty())


def can_write():
    """Return whether the process has a stderr; programs with windows and services have none."""
    return not getattr(sys.stderr, "closed", True)
