"""Predictions of network regressors: rows, blocks, and raw outputs of the network."""

import numpy as np
import torch
from sklearn.utils.validation import check_is_fitted

from skldos.data import Blocks, is_blocks
from skldos.data.calculation import common_calculation
from skldos.docstrings import like
from skldos.regressors.block_dataset import BlockDataset, is_container
from skldos.regressors.checks import validated_rows
from skldos.regressors.feature_range import warn_outside
from skldos.regressors.neural.target_scaling import TargetScaling
from skldos.regressors.site_sums import SiteSums
from skldos.regressors.torch_state import own_defaults
from skldos.scoring.r2 import coefficient_of_determination

#: Rows that are read at once in prediction.
PREDICT_ROWS = 8192

#: Rows that pass through the network at once; the outputs of their layers stay in the cache.
TILE_ROWS = 2048


class NetworkPrediction(SiteSums):
    """Predictions of a fitted net; a part of :class:`~skldos.regressors.BlockRegressor`."""

    _lazy_dtype = "<f4"

    def predict(self, X):
        """Predict the targets of every row.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks or plain rows, as in :meth:`fit`.

        Returns
        -------
        Blocks or ndarray
            One float32 block ``(n_sites, n_outputs)`` per snapshot, or an array of shape
            (n_rows, n_outputs), or (n_rows,) if `y` was one-dimensional.
        """
        check_is_fitted(self)
        X, _ = _unpack(X)
        if is_container(X):
            raise TypeError(
                f"{type(self).__name__}.predict takes an array or Blocks, got {type(X).__name__}."
            )
        if is_blocks(X):
            predicted = [self._predict_rows(block) for block in self._input_blocks(X)]
            return Blocks(predicted, getattr(X, "snapshots", None))
        X = validated_rows(self, X, reset=False, dtype=np.float32)
        y = self._predict_rows(X).astype(self.target_dtype_, copy=False)
        return y[:, 0] if self.target_ndim_ == 1 else y

    @like(SiteSums.score)
    def score(self, X, y=None, sample_weight=None):
        check_is_fitted(self)
        X, y = _unpack(X, y)
        if not is_blocks(X):
            return super().score(X, y, sample_weight)
        dataset = self._check_blocks(X, y, reset=False)
        common_calculation(getattr(X, "snapshots", None), self.calculation_)
        return coefficient_of_determination(self._true_and_predicted(dataset))

    def _true_and_predicted(self, dataset):
        """Yield slices of true and predicted targets."""
        inputs = self._input_blocks(dataset.inputs)
        for block, target in zip(inputs, dataset.targets, strict=True):
            for start in range(0, block.shape[0], PREDICT_ROWS):
                rows = slice(start, start + PREDICT_ROWS)
                yield target[rows], self._forward(block[rows])

    def _input_blocks(self, X):
        """Yield input blocks one by one, checked."""
        for block in BlockDataset(X).inputs:
            self._check_n_features(block.shape[1], reset=False)
            yield block

    def _predict_slice(self, block, start, stop):
        return self._predict_rows(block[start:stop])

    def _predict_rows(self, block):
        feature_range = getattr(self, "feature_range_", None)  # not known for a converted model
        predicted = np.empty((block.shape[0], self.n_outputs_), dtype=np.float32)
        for start in range(0, block.shape[0], PREDICT_ROWS):
            rows = block[start : start + PREDICT_ROWS]
            warn_outside(rows, feature_range)
            for first in range(0, len(rows), TILE_ROWS):
                tile = rows[first : first + TILE_ROWS]
                predicted[start + first :][: len(tile)] = self._forward(tile)
        return predicted

    def _forward(self, rows):
        """Return targets in their own units for a slice of rows."""
        return self._restored(self._outputs(rows))

    @property
    def _device(self):
        """Device of the network, even if `device` has changed since."""
        weights = next(self.module_.parameters(), None)
        return self.device if weights is None else weights.device

    @property
    def _scaling(self):
        return TargetScaling(self.target_center_, self.target_scale_)

    def _restored(self, outputs):
        """Return targets in their own units from the outputs of the network."""
        return self._scaling.restore(outputs.detach().cpu().numpy())

    def forward_iter(self, X, training=False, device="cpu"):
        """Yield the outputs of the network for slices of the rows of `X`, as tensors on `device`.

        Parameters
        ----------
        X : Blocks of shape (n_snapshots,) or array-like of shape (n_rows, n_features)
            Blocks, whose rows are joined, or plain rows.
        training : bool, default=False
            Whether the network is in training mode, and gradients are recorded.
        device : str, default="cpu"
            Device of the tensors.

        Yields
        ------
        torch.Tensor
            Outputs in units of the network; ``target_center_`` and ``target_scale_`` convert them
            to the units of the targets.
        """
        check_is_fitted(self)
        self._set_training(training)
        X, _ = _unpack(X)
        for block in self._input_blocks(X if is_blocks(X) else Blocks([np.asarray(X)])):
            for start in range(0, block.shape[0], PREDICT_ROWS):
                rows = block[start : start + PREDICT_ROWS]
                outputs = self._outputs(rows, training=training)
                yield _on_device(outputs, device)

    def forward(self, X, training=False, device="cpu"):
        """Return the outputs of the network for all rows of `X`; see :meth:`forward_iter`.

        Returns
        -------
        torch.Tensor, or a tuple of them
            Outputs of shape (n_rows, n_outputs) in units of the network.
        """
        outputs = list(self.forward_iter(X, training=training, device=device))
        if isinstance(outputs[0], tuple):
            parts = zip(*outputs, strict=True)
            return type(outputs[0])(*(None if p[0] is None else torch.cat(p) for p in parts))
        return torch.cat(outputs)

    def _outputs(self, rows, *, training=False):
        """Return the outputs of the network for a slice of rows."""
        inputs = self._tensor(rows)
        with own_defaults(), torch.inference_mode(not training):
            return self.module_(inputs)

    def _tensor(self, rows):
        """Return a slice of rows as input of the network, checked."""
        # Of torch's types, and with positive strides.
        rows = np.ascontiguousarray(rows, dtype=np.float32)
        inputs = torch.tensor(rows, dtype=torch.float32, device=self._device)
        if not torch.isfinite(inputs).all():
            raise ValueError("X holds NaN, infinite values, or values beyond the range of float32.")
        return inputs


def _on_device(outputs, device):
    """Return a tensor, or a named tuple of them, on a device."""
    if isinstance(outputs, tuple):
        return type(outputs)(*(None if part is None else part.to(device) for part in outputs))
    return outputs.to(device)


def _unpack(X, y=None):
    """Return X and y; training data, passed by callbacks, contain their targets."""
    X = X.blocks if isinstance(X, BlockDataset) else X
    return X, getattr(X, "targets", None) if y is None else y
