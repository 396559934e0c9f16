"""Fitted pipelines of atoms: forward to rows, and backward to gradients."""

import copy
import warnings
from functools import cached_property

import numpy as np
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import Normalizer
from sklearn.utils.validation import check_is_fitted

from skldos.calculator._pipelines import check_row_wise, parts_of, with_parameters
from skldos.data import Blocks, SnapshotList
from skldos.descriptors.affine import matrix_of
from skldos.prediction.pipelines import calculation_of, steps_of
from skldos.regressors import FreeEnergyRegressor

#: Overridden parameters of the transformer: double precision, and no caching of single steps.
OVERRIDES = {"dtype": "float64", "memory": None}


class AtomModel:
    """A fitted pipeline of a transformer of atoms, row-wise steps and a regressor of blocks.

    Parameters
    ----------
    name : str
        Name of the model in messages.
    model : Pipeline
        Fitted pipeline: a transformer of atoms with a method `pullback`, any number of RowWise
        steps (gradients need affine steps or ``Normalizer()``), and a regressor. For a fitted
        search, its best estimator is used.

    Attributes
    ----------
    transformer, regressor : estimator
        First and last step.
    known : dict
        Properties of the training calculations that the regressor stored.
    """

    def __init__(self, name, model):
        model = getattr(model, "best_estimator_", model)
        if len(steps_of(model)) < 2:
            raise TypeError(
                f"{name} must be a pipeline that begins with a transformer of atoms, such as "
                f"AtomSNAPTransformer, got {type(model).__name__}."
            )
        first, *row_steps, self.regressor = steps_of(model)
        # Only transformers to grid points have a grid_shape.
        if not hasattr(first, "pullback") or any(hasattr(p, "grid_shape") for p in parts_of(first)):
            raise TypeError(
                f"{name} must begin with a transformer of atoms that has derivatives, such as "
                f"AtomSNAPTransformer, got {type(first).__name__}."
            )
        check_row_wise(name, row_steps)
        check_is_fitted(self.regressor)
        self.name = name
        # Copies of the fitted steps, which do not change when the model is fitted again.
        self.regressor = copy.copy(self.regressor)
        self.transformer = with_parameters(first, OVERRIDES)
        self._row_wise = [copy.copy(step) for step in row_steps]
        self._steps = [
            _row_step(t) for step in row_steps for t in _row_parts(step.row_transformer_)
        ]
        self.calculation = calculation_of(self.regressor)

    def __repr__(self):
        steps = [self.transformer, *self._row_wise, self.regressor]
        return f"{type(self).__name__}({' → '.join(type(step).__name__ for step in steps)})"

    def blocks(self, snapshot):
        """Return the block of a snapshot with its derivatives, as input of the regressor."""
        blocks = self.transformer.transform(SnapshotList([snapshot]))
        for step in self._row_wise:
            blocks = step.transform(blocks)
        return blocks

    def features(self, snapshot):
        """Return the features of every atom, (n_atoms, n_features)."""
        return np.asarray(self.transformer.transform(SnapshotList([snapshot]))[0])

    def rows(self, features):
        """Return the input of the regressor, and the inputs of all row-wise steps."""
        passed = [features]
        for step in self._steps:
            passed.append(step.forward(passed[-1]))
        return passed.pop(), passed

    def back(self, by_rows, passed):
        """Propagate derivatives by rows, (n_features,) or one row per atom, to the features."""
        for step, rows in zip(self._steps[::-1], passed[::-1], strict=True):
            by_rows = step.back(by_rows, rows)
        return by_rows


class PotentialModel(AtomModel):
    """A pipeline that ends in a FreeEnergyRegressor."""

    def __init__(self, name, model):
        super().__init__(name, model)
        if not isinstance(self.regressor, FreeEnergyRegressor):
            raise TypeError(
                f"{name} must end in a FreeEnergyRegressor, as skldos.models.potential() does, got "
                f"{type(self.regressor).__name__}."
            )

    def energies(self, rows, snapshot):
        """Return the free energy of every atom in eV."""
        return self.regressor.predict_atoms(Blocks([rows], SnapshotList([snapshot])))[0]

    @property
    def by_rows(self):
        """Derivative of the energy with respect to the row of each atom."""
        return self.regressor.coef_


class DOSModel(AtomModel):
    """A pipeline that ends in a regressor of the densities of states of atoms."""

    def __init__(self, name, model):
        super().__init__(name, model)
        if getattr(self.regressor, "energies_", None) is None:
            raise TypeError(
                f"{name} must end in a regressor of the densities of states of atoms with their "
                f"energies, such as ADOSRegressor, got {type(self.regressor).__name__}."
            )
        if getattr(self.regressor, "reference_", None) is not None:
            raise ValueError(
                f"{name} must be fitted with align=None, got {self.regressor!r}: aligned densities "
                "of states are not linear in the features."
            )
        self.energies = self.regressor.energies_

    def _predicted(self, rows):
        return np.asarray(self.regressor.predict(Blocks([rows]))[0], dtype=float)

    @cached_property
    def affine(self):
        """Matrix and constant of the affine map from a row to the density of states of an atom."""
        n_features = self.regressor.n_features_in_
        name = f"the regressor of {self.name}, {type(self.regressor).__name__},"
        with warnings.catch_warnings():
            # The rows that probe the map do not represent atoms.
            warnings.filterwarnings("ignore", "some features lie outside", UserWarning)
            constant = self._predicted(np.zeros((1, n_features)))[0]
            return matrix_of(self._predicted, n_features, name), constant


class _Affine:
    """A step x -> x M + c."""

    def __init__(self, transformer):
        self.forward = transformer.transform
        self._n_features = transformer.n_features_in_
        self._name = type(transformer).__name__

    @cached_property
    def _matrix(self):
        return matrix_of(self.forward, self._n_features, self._name)

    def back(self, by_rows, rows):
        return by_rows @ self._matrix.T


class _UnitLength:
    """The step x -> x / |x| of ``Normalizer()``."""

    @staticmethod
    def _lengths(rows):
        lengths = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.where(lengths == 0, 1.0, lengths)

    def forward(self, rows):
        return rows / self._lengths(rows)

    def back(self, by_rows, rows):
        lengths = self._lengths(rows)
        unit = rows / lengths
        # d(x/|x|) = (dx - u (u dx)) / |x|
        along = (unit * by_rows).sum(axis=1, keepdims=True)
        return (by_rows - along * unit) / lengths


def _row_parts(transformer):
    """Return the steps of a row-wise transformer."""
    if isinstance(transformer, Pipeline):
        return [child for step in steps_of(transformer) for child in _row_parts(step)]
    return [transformer]


def _row_step(transformer):
    if isinstance(transformer, Normalizer) and transformer.norm == "l2":
        return _UnitLength()
    return _Affine(transformer)
