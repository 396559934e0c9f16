"""A pipeline with the weights of a trained MALA model."""

import torch
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from skldos.data import EnergyGrid, SnapshotList, as_snapshots
from skldos.data.calculation import common_calculation
from skldos.descriptors import GridSNAPTransformer, RowWise
from skldos.exceptions import FileFormatError
from skldos.io.limits import refusing_damage
from skldos.io.mala import snapshot_of_info
from skldos.io.mala_archive import read_mala_archive
from skldos.networks import FeedForward
from skldos.regressors.neural.ldos import LDOSRegressor
from skldos.regressors.torch_state import Placeholders, own_defaults


class NonnegativeFeedForward(FeedForward):
    r"""Dense layers whose outputs z are clipped where the target would be negative.

    MALA sets negative values of a predicted LDOS to zero (``restrict_targets``).

    Parameters
    ----------
    n_in, n_out : int
        Numbers of inputs and outputs.
    lowest : sequence of float, default=(0.0,)
        Smallest value of each output, or one for all.
    **options : dict
        As for :class:`~skldos.networks.FeedForward`.

    Examples
    --------
    >>> import torch
    >>> network = NonnegativeFeedForward(2, 3, lowest=(-0.5,))
    >>> bool((network(torch.full((4, 2), 1e3)) >= -0.5).all())
    True
    """

    def __init__(self, n_in, n_out, lowest=(0.0,), **options):
        super().__init__(n_in, n_out, **options)
        self.append(_AtLeast(lowest))


class _AtLeast(torch.nn.Module):
    def __init__(self, lowest):
        super().__init__()
        self.register_buffer("lowest", torch.tensor(list(lowest)), persistent=False)

    def forward(self, x):
        return torch.maximum(x, self.lowest)


def read_mala_model(archive, atoms=None):
    """Make a fitted pipeline from a trained MALA model.

    Nothing in the archive is executed: weights are read as tensors only, and scalers, which older
    archives hold as pickles, by a reader that accepts no other class. The archive is not changed.

    Parameters
    ----------
    archive : str or path-like
        The ``.zip`` file that MALA's ``save_run`` wrote: a feed-forward network from bispectrum
        components to the LDOS.
    atoms : ase.Atoms or Snapshot, optional
        A configuration with all elements of the training data, which tells the pipeline its
        elements; None uses the one in the archive.

    Returns
    -------
    sklearn.pipeline.Pipeline
        A fitted :class:`~skldos.GridSNAPTransformer`, a row-wise scaler and
        :class:`~skldos.LDOSRegressor`. The regressor predicts the LDOS in 1/(eV Å³) at the energies
        of the model, and can be trained further.

    Raises
    ------
    FileFormatError
        If the archive is damaged, refers to code, or is of a model of another kind: other
        descriptors, targets or networks, or energies in several parts.
    ValueError
        If neither the archive nor `atoms` provides the elements.

    Notes
    -----
    MALA before 1.3.1 wrote a single activation for all layers as a list of one. Such archives lack
    a newer entry; they are recognised by this and read as they were trained. For MALA itself, set
    ``activation_list_legacy_load``.

    Examples
    --------
    >>> from skldos.io import read_mala_model
    >>> model = read_mala_model("Be_model.zip")  # doctest: +SKIP
    >>> model.predict([snapshot])[0].shape  # doctest: +SKIP
    (8748, 11)
    """
    content = read_mala_archive(archive)
    with refusing_damage(content.path):
        energies = _energies(content)
        samples = _samples(content, atoms)
        snap = _descriptors(content, samples)
        scaler = _input_scaler(content.inputs, len(content.weights[0][0].T))
        regressor = _regressor(content, energies, samples)
    return make_pipeline(snap, *scaler, regressor)


def _energies(content):
    targets = content.parameters["targets"]
    if targets["target_type"] != "LDOS":
        _refuse(content, "a model of the LDOS", targets["target_type"])
    n, offset, spacing = (
        targets[f"ldos_grid{suffix}"] for suffix in ("size", "offset_ev", "spacing_ev")
    )
    if any(isinstance(value, list) for value in (n, offset, spacing)):
        _refuse(content, "energies of one spacing", f"offsets {offset} and spacings {spacing} eV")
    if n != len(content.weights[-1][1]):
        _refuse(content, f"as many outputs as energies, {n}", len(content.weights[-1][1]))
    return EnergyGrid.regular(float(offset), float(spacing), n)


def _samples(content, atoms):
    """Return the snapshots from which the elements are learned."""
    if atoms is not None:
        return as_snapshots([atoms])
    if content.info is None:
        raise ValueError(
            f"atoms must be a configuration with all elements of the training data, which "
            f"{content.path} does not name; got None."
        )
    return SnapshotList([snapshot_of_info(content.info, content.path)])


def _descriptors(content, samples):
    described = content.parameters["descriptors"]
    if described["descriptor_type"] not in ("Bispectrum", "SNAP"):
        _refuse(content, "the descriptors 'Bispectrum'", described["descriptor_type"])
    symbols = sorted({symbol for s in samples for symbol in s.atoms.symbols})
    weights = described.get("bispectrum_element_weights") or [1.0] * len(symbols)
    if len(weights) != len(symbols):
        _refuse(content, f"a weight for each of {symbols}", weights)
    largest = max(weights)
    snap = GridSNAPTransformer(
        r_cut=float(described["bispectrum_cutoff"]),
        twojmax=described["bispectrum_twojmax"],
        switch=bool(described["bispectrum_switchflag"]),
        weights=dict(zip(symbols, [w / largest for w in weights], strict=True)),
        # A snapshot's own grid takes precedence, and all snapshots of one calculation share a grid.
        grid_shape=None,
    )
    grid = content.parameters["running"].get("inference_data_grid") or [0, 0, 0]
    grid = tuple(grid) if min(grid) > 0 else (1, 1, 1)
    samples = [s if s.grid_shape is not None else s.replace(grid_shape=grid) for s in samples]
    snap.fit(samples)
    if snap.n_features_out_ != len(content.weights[0][0].T):
        _refuse(content, f"{snap.n_features_out_} inputs", len(content.weights[0][0].T))
    return snap


def _input_scaler(affine, n_features):
    """Return the step that scales descriptors, fitted; none if there is no scaling."""
    if affine.kind is None:
        return []
    center, scale = (values.repeat(n_features // len(values)) for values in affine[1:])
    # Constant columns are zero after scaling, as in MALA.
    scale[scale == 0] = 1.0
    if affine.kind == "standard":
        rows = StandardScaler()
        rows.mean_, rows.scale_, rows.var_, rows.n_samples_seen_ = center, scale, scale**2, 1
    else:
        rows = MinMaxScaler()
        rows.scale_, rows.min_, rows.n_samples_seen_ = 1 / scale, -center / scale, 1
        rows.data_min_, rows.data_max_, rows.data_range_ = center, center + scale, scale
    rows.n_features_in_ = n_features
    step = RowWise(type(rows)())
    step.row_transformer_, step.n_features_in_ = rows, n_features
    return [step]


def _regressor(content, energies, samples):
    """Return the network with its weights and the scaling of the LDOS."""
    *hidden, last = content.activations
    if len(set(hidden)) > 1 or None in hidden:
        _refuse(content, "one activation for all hidden layers", hidden)
    center, scale = content.outputs.center, content.outputs.scale
    # Without a hidden layer, the activation is not used.
    options = {
        "hidden_layer_sizes": tuple(len(bias) for _, bias in content.weights[:-1]),
        "activation": hidden[0] if hidden else "relu",
        "output_activation": last,
    }
    restricted = content.parameters["targets"].get("restrict_targets")
    if restricted not in (None, "zero_out_negative"):
        _refuse(content, "restrict_targets 'zero_out_negative' or none", restricted)
    module = FeedForward
    # z >= 0 and y = center + scale z is never negative: no clipping is needed.
    positive = last in ("relu", "sigmoid", "softplus") and (center >= 0).all()
    if restricted is not None and not positive:
        module = NonnegativeFeedForward
        options["lowest"] = tuple((-center / scale).tolist())
    regressor = LDOSRegressor(module, **{f"module__{k}": v for k, v in options.items()})
    vars(regressor).update(
        n_features_in_=content.weights[0][0].shape[1],
        n_outputs_=len(energies),
        target_center_=center.astype("f4"),
        target_scale_=scale.astype("f4"),
        target_dtype_="<f4",
        target_ndim_=2,
        energies_=energies.values,
        broadening_=None,
        kernel_=None,
        calculation_=common_calculation(samples),
    )
    with own_defaults(), Placeholders():
        regressor.initialize()
    layers = [layer for layer in regressor.module_ if isinstance(layer, torch.nn.Linear)]
    with torch.no_grad():
        for layer, (matrix, bias) in zip(layers, content.weights, strict=True):
            layer.weight.copy_(torch.from_numpy(matrix))
            layer.bias.copy_(torch.from_numpy(bias))
    regressor.module_.eval()
    return regressor


def _refuse(content, expected, got):
    raise FileFormatError(f"expected {expected}, got {got!r}, which is not supported", content.path)
