"""Learning on the fly: dynamics with a model that requests the calculations it needs."""

import io
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
from ase import Atoms
from ase.optimize.optimize import Optimizer
from sklearn.base import clone

from skldos.active._reference import Reference
from skldos.active._run_state import read_state, restore, state_of, write_state
from skldos.calculator import FreeEnergyCalculator
from skldos.data import Snapshot, SnapshotList, as_snapshots
from skldos.data.files import atomic_file
from skldos.exceptions import FileFormatError
from skldos.validation import check_option, check_scalar

#: Number of results that correct the error bars.
LAST_ANSWERS = 5
#: Consecutive checks that request a calculation before a warning.
ROW_OF_QUESTIONS = 10
ASKED_FILE = "asked.csv"
ASKED_COLUMNS = {
    "why": str,
    "step": int,
    "expected": float,
    "force_error": float,
    "ratio": float,
    "energy_error": float,
    "reference_seconds": float,
    "fit_seconds": float,
}
ERROR_BARS = "error_bars.csv"
ERROR_BAR_COLUMNS = {"step": int, "expected": float, "asked": bool}


class OnTheFlyLearner:
    r"""Run dynamics, or go through a pool, with calculations wherever the model is uncertain.

    If the expected error of the force on any atom exceeds a threshold, the learner calls the
    reference, adds the snapshot to the training data, fits the potential again, and continues:

    .. math:: s \max_i \sqrt{\tfrac{1}{3} \textstyle\sum_c \sigma_{ic}^2} > \text{threshold}

    with the standard deviations :math:`\sigma_{ic}` of the components c of the force on atom i.
    These come from the posterior, and are too small if the run leads away from all training data.
    Every reference result therefore corrects them: s is the root mean square ratio of true to
    expected errors over the last five results, but at least 1. If the error bars never exceed the
    threshold, they are checked after `first_check` steps, and the interval doubles each time the
    check is passed.

    All data are stored in a folder. If a run is killed, start the same script again and it
    continues where it was: no snapshot is calculated twice, and positions, momenta and random
    numbers equal those of an uninterrupted run, to rounding.

    Parameters
    ----------
    potential : Pipeline
        From atoms to a FreeEnergyRegressor, as for FreeEnergyCalculator; fitted or not.
    reference : ase calculator, EspressoRecipe or callable
        The reference calculation. A callable takes atoms and returns a Snapshot with the reference
        values ``"total_energy"`` and ``"forces"``.
    initial : sequence of Snapshot or ase.Atoms
        At least two configurations to begin with, such as one and a rattled copy. Energy and
        forces are calculated where they are missing.
    folder : str or path-like
        Folder for all data; created if necessary.
    threshold : float, default=0.1
        Largest expected error in eV/Å.
    interval : int, default=1
        Number of steps between two evaluations of the expected error.
    first_check : int or None, default=10
        Number of steps without a reference calculation after which one is made anyway, at first
        and after a true error above the threshold. None disables these checks.
    stress : bool, default=False
        Whether to ask a calculator for the stress as well.

    Attributes
    ----------
    potential_ : Pipeline
        The latest potential, fitted to all snapshots so far.
    calculator : FreeEnergyCalculator
        The calculator, always with the latest potential.
    snapshots : SnapshotList
        The training data so far.
    asked : DataFrame
        The reference calculations, one row per snapshot: ``why`` (``"initial"``,
        ``"threshold"``, ``"check"`` or ``"pool"``), ``step`` (or position in the pool),
        ``expected`` error in eV/Å; for the model before the calculation, the true root mean square
        error ``force_error`` in eV/Å, its ``ratio`` to the error that the posterior expects, and
        ``energy_error`` in meV/atom; and the seconds of the reference (0 if stored before) and of
        the fit. Stored in ``asked.csv``.
    error_bars : DataFrame
        ``step`` and ``expected`` error in eV/Å of every evaluation in a dynamics, and whether it
        ``asked`` for a calculation. Stored in ``error_bars.csv``.

    Warns
    -----
    UserWarning
        If ten evaluations in a row request a calculation, so that more snapshots do not help.

    See Also
    --------
    skldos.plotting.OnTheFlyDisplay : Shows error bars and reference calculations over time.
    skldos.SnapshotSelector : Picks from a pool by the uncertainty of band energies.

    Notes
    -----
    The state is written after every evaluation. Thermostats with variables of their own, such as
    Nosé-Hoover chains, reset these after an interruption.

    Examples
    --------
    >>> import tempfile
    >>> from ase import units
    >>> from ase.build import bulk
    >>> from ase.calculators.emt import EMT
    >>> from ase.md.verlet import VelocityVerlet
    >>> from sklearn.pipeline import make_pipeline
    >>> from skldos import AtomSNAPTransformer, FreeEnergyRegressor
    >>> from skldos.active import OnTheFlyLearner
    >>> atoms, rattled = bulk("Al", cubic=True), bulk("Al", cubic=True)
    >>> for seed, one in enumerate((atoms, rattled)):
    ...     one.rattle(0.1, seed=seed)
    >>> potential = make_pipeline(AtomSNAPTransformer(twojmax=2), FreeEnergyRegressor())
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     learner = OnTheFlyLearner(potential, EMT(), [atoms, rattled], folder, threshold=0.3)
    ...     learner.run(VelocityVerlet(atoms, timestep=4 * units.fs), 5)
    >>> len(learner.error_bars), bool(len(learner.snapshots) >= 2)
    (6, True)
    """

    def __init__(
        self,
        potential,
        reference,
        initial,
        folder,
        *,
        threshold=0.1,
        interval=1,
        first_check=10,
        stress=False,
    ):
        if not hasattr(potential, "fit") or isinstance(potential, type):
            raise TypeError(
                "potential must be a pipeline that ends in a FreeEnergyRegressor, such as "
                f"skldos.models.potential(), got {potential!r}."
            )
        self.potential = potential
        self.threshold = check_scalar("threshold", threshold, low=0, strict=True)
        self.interval = check_scalar("interval", interval, low=1, integer=True)
        self.first_check = first_check
        if first_check is not None:
            check_scalar("first_check", first_check, low=1, integer=True)
        check_option("stress", stress, (True, False))
        self.folder = Path(folder)
        initial = as_snapshots(initial)
        if len(initial) < 2:
            raise ValueError(f"initial must hold at least two snapshots, got {len(initial)}.")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._reference = Reference(reference, self.folder, stress)
        state = read_state(self.folder) or {"n_snapshots": 0, "dynamics": None, "check": None}
        self._dynamics, self._check = state["dynamics"], state["check"]
        self.snapshots = self._reference.kept(state["n_snapshots"])
        self.asked = _table(self.folder / ASKED_FILE, ASKED_COLUMNS)[: state["n_snapshots"]]
        if len(self.asked) < state["n_snapshots"]:
            raise FileFormatError(
                f"expected a row for each of {state['n_snapshots']} calculations, got "
                f"{len(self.asked)}",
                self.folder / ASKED_FILE,
            )
        self.error_bars = _table(self.folder / ERROR_BARS, ERROR_BAR_COLUMNS)
        last = -1 if self._dynamics is None else self._dynamics["step"]
        self.error_bars = self.error_bars[self.error_bars["step"] <= last]
        self._begin(initial)

    def __repr__(self):
        return f"OnTheFlyLearner({len(self.snapshots)} snapshots, {self.threshold:g} eV/Å)"

    def _begin(self, initial):
        """Learn from the initial configurations."""
        for number, snapshot in enumerate(initial):
            result, seconds = self._reference.answer(number, snapshot)  # also checks stored results
            if number >= len(self.snapshots):
                self._add(result, {"why": "initial", "step": number, "reference_seconds": seconds})
        self.calculator = FreeEnergyCalculator(self._fitted())
        self._keep()

    # ------------------------------------------------------------------- running

    def run(self, dynamics, steps):
        """Run the dynamics up to a total number of steps.

        Parameters
        ----------
        dynamics : ASE dynamics or MonteCarlo
            Any object with ``atoms``, ``nsteps`` and ``run(steps)``. The atoms get the calculator,
            and the state of an earlier run in the folder is restored.
        steps : int
            Total number of steps, including those before an interruption.

        Raises
        ------
        TypeError
            If `dynamics` is not of this kind; optimizers are not.
        ValueError
            If the folder has the state of other atoms.
        """
        missing = [name for name in ("atoms", "nsteps", "run") if not hasattr(dynamics, name)]
        if missing or isinstance(dynamics, Optimizer):
            raise TypeError(
                "dynamics must be a dynamics of ASE or a MonteCarlo, with atoms, nsteps and "
                f"run(steps), got {type(dynamics).__name__}."
            )
        steps = check_scalar("steps", steps, low=0, integer=True)
        dynamics.atoms.calc = self.calculator
        if self._dynamics is not None:
            restore(dynamics, self._dynamics)
            if self._check is None or self._check["gap"] is None:  # there were no checks so far
                self._check = self._first_check_after(dynamics.nsteps)
        else:
            self._check = self._first_check_after(0)
            self._look(dynamics)
        while dynamics.nsteps < steps:
            dynamics.run(min(self.interval, steps - dynamics.nsteps))
            self._look(dynamics)

    def _first_check_after(self, step):
        """Return when a calculation is made anyway, None for never."""
        due = None if self.first_check is None else step + self.first_check
        return {"step": due, "gap": self.first_check}

    def ask(self, pool, max_snapshots=None):
        """Learn from a pool until no expected error in it exceeds the threshold.

        The snapshot with the largest expected error comes first. After each snapshot, the new
        model evaluates the others again.

        Parameters
        ----------
        pool : sequence of Snapshot or ase.Atoms
            Configurations. Snapshots with reference energy and forces are not calculated; results
            of a calculator on the atoms do not count.
        max_snapshots : int, optional
            Largest number of snapshots to learn from; None sets no limit.

        Returns
        -------
        list of int
            Positions of the calculated snapshots in the pool, in order.
        """
        if max_snapshots is not None:
            check_scalar("max_snapshots", max_snapshots, low=0, integer=True)
        if hasattr(pool, "__len__") and len(pool) == 0:
            return []
        as_snapshots(pool)  # checks it
        pool = [_bare(item) if isinstance(item, Atoms) else item for item in pool]
        asked = []
        while len(asked) < (len(pool) if max_snapshots is None else max_snapshots):
            errors = [self.expected_error(snapshot.atoms) for snapshot in pool]
            errors = np.where(np.isin(np.arange(len(pool)), asked), -np.inf, errors)
            worst = int(np.argmax(errors))
            if not errors[worst] > self.threshold:
                break
            asked.append(worst)
            self._learn(pool[worst], "pool", worst, errors[worst])
            self._keep()
        return asked

    def expected_error(self, atoms):
        """Return the largest expected error of the force on an atom in eV/Å, per component.

        Parameters
        ----------
        atoms : ase.Atoms
            The atoms.

        Returns
        -------
        float
            Corrected by the last reference results.
        """
        std = self.calculator.get_uncertainty("forces", atoms)
        return self.correction * float(np.sqrt(np.mean(std**2, axis=1)).max())

    @property
    def correction(self):
        """Factor by which the posterior is too narrow, from recent results; at least 1."""
        ratios = self.asked["ratio"].dropna()[-LAST_ANSWERS:]
        return max(1.0, float(np.sqrt(np.mean(ratios**2)))) if len(ratios) else 1.0

    # ------------------------------------------------------------------- learning

    def _look(self, dynamics):
        """Call the reference if necessary, and write the state."""
        step, expected = dynamics.nsteps, self.expected_error(dynamics.atoms)
        check = self.first_check is not None and step >= self._check["step"]
        asks = expected > self.threshold or check
        row = {"step": step, "expected": expected, "asked": asks}
        self.error_bars = _appended(self.error_bars, row)
        if asks:
            why = "threshold" if expected > self.threshold else "check"
            self._warn_of_limit()
            self._learn(_bare(dynamics.atoms), why, step, expected)
            if self.first_check is not None:
                passed = self.asked["force_error"].iloc[-1] <= self.threshold
                gap = 2 * self._check["gap"] if passed and check else self.first_check
                self._check = {"step": step + gap, "gap": gap}
        self._dynamics = state_of(dynamics)
        self._keep(row)

    def _warn_of_limit(self):
        """Warn, once per series, if further calculations do not help."""
        asked = self.error_bars["asked"].to_numpy(dtype=bool)
        if np.logical_and.accumulate(asked[::-1]).sum() == ROW_OF_QUESTIONS:
            warnings.warn(
                f"the last {ROW_OF_QUESTIONS} evaluations all requested a calculation: the "
                f"potential may be too simple for the threshold {self.threshold:g} eV/Å. Use finer "
                "descriptors, or a higher threshold.",
                UserWarning,
                stacklevel=4,
            )

    def _learn(self, snapshot, why, step, expected):
        """Calculate a snapshot, and continue with a model that learned it."""
        atoms = snapshot.atoms
        energy = self.calculator.get_potential_energy(atoms)
        forces = self.calculator.get_forces(atoms)
        std = self.calculator.get_uncertainty("forces", atoms)
        result, seconds = self._reference.answer(len(self.snapshots), snapshot)
        error = _rms(forces - result.reference["forces"])
        row = {
            "why": why,
            "step": step,
            "expected": expected,
            "force_error": error,
            "ratio": error / _rms(std),
            "energy_error": 1e3 * (energy - result.reference["total_energy"]) / len(atoms),
            "reference_seconds": seconds,
        }
        self._add(result, row)
        start = time.perf_counter()
        self.calculator.set_potential(self._fitted())
        self.asked.loc[self.asked.index[-1], "fit_seconds"] = time.perf_counter() - start

    def _add(self, snapshot, row):
        self.snapshots = SnapshotList([*self.snapshots, snapshot])
        self.asked = _appended(self.asked, row)

    def _fitted(self):
        self.potential_ = clone(self.potential).fit(self.snapshots)
        return self.potential_

    def _keep(self, look=None):
        """Write the tables, then the state, which tells which of their rows are valid."""
        with atomic_file(self.folder / ASKED_FILE, "w") as file:
            self.asked.to_csv(file, index=False)
        path = self.folder / ERROR_BARS
        if look is None:
            with atomic_file(path, "w") as file:
                self.error_bars.to_csv(file, index=False)
        else:
            with open(path, "a", encoding="utf-8") as file:
                pd.DataFrame([look]).to_csv(file, index=False, header=False)
        state = {"n_snapshots": len(self.snapshots), "dynamics": self._dynamics}
        write_state(self.folder, state | {"check": self._check})


def _bare(atoms):
    """Return a snapshot without the results of its calculator, which may be predictions."""
    return Snapshot(atoms.copy())


def _rms(values):
    return float(np.sqrt(np.mean(np.square(values))))


def _table(path, columns):
    """Return a table from a file, without an incomplete last line."""
    if not path.exists():
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in columns.items()})
    try:
        text = path.read_text(encoding="utf-8")
        complete = text[: text.rfind("\n") + 1]
        # Numbers are exact as Python reads them.
        table = pd.read_csv(io.StringIO(complete), dtype=str)
        for name, kind in columns.items():
            table[name] = table[name] == "True" if kind is bool else table[name].astype(kind)
    except (ValueError, KeyError) as error:
        raise FileFormatError(f"not a table of {', '.join(columns)}: {error}", path) from error
    return table


def _appended(table, row):
    """Return a table with one more row."""
    new = pd.DataFrame([row]).reindex(columns=table.columns).astype(table.dtypes.to_dict())
    return new if table.empty else pd.concat([table, new], ignore_index=True)
