"""Recommended models, each chosen by a benchmark: start here.

=====================  ======================================  ==================================
function               what the model predicts                 what it is for
=====================  ======================================  ==================================
:func:`atoms`          densities of states of atoms            band energies, Fermi levels, DOS
:func:`alloys`         the same of cells of several elements   compositions, volumes, strains
:func:`grid`           the LDOS at every point of a grid       density, total energy, forces
:func:`potential`      free energies, forces, stress           dynamics, relaxations
=====================  ======================================  ==================================

Each returns an unfitted pipeline: ``fit`` it, cross-validate it, change its parameters with
``set_params``, search over them.
"""

from skldos.docstrings import documented, entries_of

#: Names for the command line: models without required arguments.
NAMES = ("atoms", "grid", "potential")

ENTRIES = entries_of("""
    r_cut : float
        Cutoff radius in Å.
    n_max : int
        Number of radial functions.
    l_max : int
        Largest angular momentum.
    sigma : float
        Width of the Gaussians in Å.
    fade : float
        Length in Å over which neighbours fade out below `r_cut`.
    memory : str, path-like or joblib.Memory, optional
        Folder in which descriptors are kept.
    verbose : bool, default=False
        Whether to show progress bars.
""")


@documented(ENTRIES)
def atoms(
    *,
    r_cut=10.0,
    n_max=8,
    l_max=8,
    sigma=1.1,
    basis_radius=4.0,
    fade=6.0,
    alpha=None,
    dos_weight=1e5,
    uncertainty=False,
    random_state=None,
    memory=None,
    verbose=False,
):
    """Return a model of the density of states of every atom, fitted in closed form.

    Power spectra of wide Gaussians, of unit length, and ridge regression of the atom-decomposed
    density of states, in which the sums over the atoms of a snapshot have weight. The penalty is
    chosen in ``fit``, by leaving out snapshots.

    Parameters
    ----------
    r_cut : float, default=10.0
        %(r_cut.text)s
    n_max : int, default=8
        %(n_max.text)s
    l_max : int, default=8
        %(l_max.text)s
    sigma : float, default=1.1
        %(sigma.text)s
    basis_radius : float, default=4.0
        Extent of the radial functions in Å. The Gaussians are so wide that atoms far beyond it
        still contribute, which is why `r_cut` is larger.
    fade : float, default=6.0
        %(fade.text)s
    alpha : float, optional
        Penalty of the ridge regression. By default :class:`~skldos.SiteRidgeCV` chooses it, for
        which at least two snapshots are needed.
    dos_weight : float, default=1e5
        Weight of the error of the sum over the atoms.
    uncertainty : bool, default=False
        Whether the model predicts its uncertainty, by :class:`~skldos.RidgePosterior`.
    random_state : int, RandomState instance or None, default=None
        Seed of the samples of the uncertainty.
    %(memory)s
    %(verbose)s

    Returns
    -------
    sklearn.pipeline.Pipeline
        From snapshots with an LDOS (or atoms, to predict) to densities of states of atoms.

    Notes
    -----
    Fitted to the 96 bundled training snapshots of 32 atoms of aluminium, it predicts the band
    energies of the bundled test snapshots at 933 K within 1.1 meV/atom (six liquids) and 0.9 (six
    solids) in the mean. See ``benchmarks/atoms/README.md``.

    The model is made for sums over the atoms of a cell. Errors of single atoms are large and
    cancel: it predicts the densities of states of single atoms in these test snapshots with
    R² = −25. To compare atoms, use ``dos_weight=1``: R² = 0.72, and a band-energy error of 13
    instead of 1.0 meV/atom.

    Examples
    --------
    >>> import skldos
    >>> from skldos.datasets import make_snapshots
    >>> model = skldos.models.atoms().fit(make_snapshots(3, random_state=0))
    >>> model.predict(make_snapshots(1, random_state=1))
    Blocks(1 of shape (4, 21))
    """
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import Normalizer

    from skldos.descriptors import AtomSOAPTransformer, RowWise
    from skldos.regressors import ADOSRegressor, SiteRegressor, SiteRidgeCV
    from skldos.uncertainty import RidgePosterior

    if alpha is None:
        regressor = SiteRidgeCV(dos_weights=(dos_weight,))
    else:
        regressor = SiteRegressor(Ridge(alpha), dos_weight=dos_weight)
    if uncertainty:
        regressor = RidgePosterior(regressor, random_state=random_state)
    return make_pipeline(
        AtomSOAPTransformer(
            r_cut=r_cut,
            n_max=n_max,
            l_max=l_max,
            sigma=sigma,
            fade=fade,
            basis_radius=basis_radius,
            memory=memory,
            verbose=verbose,
        ),
        RowWise(Normalizer()),
        ADOSRegressor(regressor),
    )


@documented(ENTRIES)
def alloys(elements, *, r_cut=4.0, twojmax=6, other=0.3, align="band", memory=None, verbose=False):
    """Return a model of densities of states of cells of different compositions and volumes.

    A bispectrum for each element, in which its atoms weigh more than the others, and ridge
    regression of the atom-decomposed density of states, relative to the mean energy of the
    electrons of each cell. Penalties and weights are chosen in ``fit``, by leaving out snapshots.

    Parameters
    ----------
    elements : sequence of str
        All elements that occur.
    r_cut : float, default=4.0
        %(r_cut.text)s
    twojmax : int, default=6
        Order of the bispectrum: 30 components for each element.
    other : float, default=0.3
        Weight of the other elements in the bispectrum of an element, whose own weight is 1.
    align : {"fermi", "band"} or None, default="band"
        Reference energy, as of :class:`~skldos.ADOSRegressor`.
    %(memory)s
    %(verbose)s

    Returns
    -------
    sklearn.pipeline.Pipeline
        From snapshots with an LDOS or ADOS (or atoms, to predict) to densities of states of atoms.

    Raises
    ------
    ValueError
        If an element is named twice, or none is named.

    Notes
    -----
    Fitted to 68 cells of 4 to 32 atoms of aluminium-magnesium, it predicts the band energies of 32
    others, which were calculated after all settings had been chosen, within 4.5 meV/atom and their
    Fermi levels within 9 meV in the mean; fitted to 36 cells of 4 and 8 atoms, within 9 meV/atom.
    See ``benchmarks/alloys/README.md``.

    Examples
    --------
    >>> import skldos
    >>> from skldos.datasets import load_aluminium_magnesium
    >>> cells = load_aluminium_magnesium(n_atoms=4)
    >>> model = skldos.models.alloys(["Al", "Mg"], twojmax=2).fit(cells[:10])
    >>> skldos.evaluate(model, cells[10:12]).shape
    (2, 9)
    """
    import numpy as np
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from skldos.descriptors import AtomSNAPTransformer, BlockUnion, RowWise
    from skldos.regressors import ADOSRegressor, SiteRidgeCV

    elements = [elements] if isinstance(elements, str) else list(elements)
    if not elements or len(set(elements)) < len(elements):
        raise ValueError(f"elements must name each element once, got {elements}.")
    options = {"twojmax": twojmax, "r_cut": r_cut, "memory": memory, "verbose": verbose}
    descriptors = [
        (
            element,
            AtomSNAPTransformer(
                weights={e: 1.0 if e == element else other for e in elements}, **options
            ),
        )
        for element in elements
    ]
    # Small weights lower the errors of the DOS slightly, but raise those of the Fermi level.
    choice = ((1e2, 1e3), "dos") if align == "band" else ((1e1, 1e3), "band_energy")
    regressor = SiteRidgeCV(10.0 ** np.arange(-6, 5), choice[0], criterion=choice[1])
    return make_pipeline(
        BlockUnion(descriptors),
        RowWise(StandardScaler()),
        ADOSRegressor(regressor, align=align),
    )


@documented(ENTRIES)
def grid(
    *,
    r_cut=3.5,
    twojmax=6,
    hidden_layer_sizes=(200,),
    max_epochs=40,
    activation="leaky_relu",
    random_state=None,
    device="cpu",
    memory=None,
    verbose=False,
):
    """Return a network that predicts the LDOS at every point of a grid.

    Bispectrum components, whitened, and a network with one hidden layer.

    Parameters
    ----------
    r_cut : float, default=3.5
        %(r_cut.text)s The default is for aluminium, whose atoms are 2.86 Å apart: scale it with
        this distance.
    twojmax : int, default=6
        Order of the bispectrum: 30 components.
    hidden_layer_sizes : sequence of int, default=(200,)
        Width of each hidden layer; empty for a linear model.
    max_epochs : int, default=40
        Passes over the training data.
    activation : str, default="leaky_relu"
        Function after each hidden layer, as of :class:`skldos.networks.FeedForward`. Forces are
        smooth only if it is, such as ``"silu"``.
    random_state : int, RandomState instance or None, default=None
        Seed of initial weights and batches.
    device : str, default="cpu"
        Where the network lives, such as ``"cuda"``.
    %(memory)s
        Set it: descriptors of a grid take longer than the training.
    %(verbose)s

    Returns
    -------
    sklearn.pipeline.Pipeline
        From snapshots with an LDOS (or atoms, to predict) to the LDOS.

    Notes
    -----
    ``skldos demo`` cross-validates it, with half of the passes, on eight snapshots of four atoms of
    aluminium. With all passes, the band energy is off by 2.7, 3.3 and 1.8 meV/atom in the mean with
    three seeds, the total energy by 5.3, 5.0 and 3.9. Cutoff, number of components, network and
    training were chosen on other cells of aluminium, of 4 and of 32 atoms
    (``benchmarks/training/settings.py``).

    Examples
    --------
    >>> import skldos
    >>> from skldos.datasets import make_snapshots
    >>> snapshots = make_snapshots(3, random_state=0)
    >>> model = skldos.models.grid(twojmax=2, max_epochs=2, random_state=0).fit(snapshots[:2])
    >>> skldos.evaluate(model, snapshots[2:]).shape
    (1, 8)
    """
    from sklearn.decomposition import PCA
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler
    from torch.optim import AdamW

    from skldos.descriptors import GridSNAPTransformer, RowWise
    from skldos.regressors import LDOSRegressor

    return make_pipeline(
        GridSNAPTransformer(twojmax=twojmax, r_cut=r_cut, memory=memory, verbose=verbose),
        RowWise(StandardScaler()),
        # Bispectrum components are almost linearly dependent; with uncorrelated inputs of equal
        # variance, the network trains many times faster.
        RowWise(PCA(whiten=True)),
        LDOSRegressor(
            module__hidden_layer_sizes=hidden_layer_sizes,
            module__activation=activation,
            max_epochs=max_epochs,
            optimizer=AdamW,
            optimizer__weight_decay=0.3,
            batch_size=400,
            lr=3e-3,
            lr_schedule="cosine",
            target_scaling="standard",
            random_state=random_state,
            device=device,
            verbose=int(verbose),
        ),
    )


@documented(ENTRIES)
def potential(
    *,
    r_cut=7.0,
    n_max=10,
    l_max=6,
    sigma=0.5,
    rbf="gto_n",
    fade=4.0,
    center_species=False,
    forces=True,
    temperature=None,
    memory=None,
    verbose=False,
):
    """Return a model of total free energies, forces and stresses, fitted in closed form.

    Power spectra of the atoms, and a linear model that is fitted to all of them at once.

    Parameters
    ----------
    r_cut : float, default=7.0
        %(r_cut.text)s
    n_max : int, default=10
        %(n_max.text)s
    l_max : int, default=6
        %(l_max.text)s
    sigma : float, default=0.5
        %(sigma.text)s
    rbf : {"gto", "gto_n", "polynomial"}, default="gto_n"
        Radial functions, as of :class:`~skldos.AtomSOAPTransformer`.
    fade : float, default=4.0
        %(fade.text)s
    center_species : bool, default=False
        Whether each element of the central atom has its own features, which is better for alloys.
    forces : bool, default=True
        Whether forces and stresses are learned, or energies alone.
    temperature : float, "ignore" or None, default=None
        Electronic temperature in K of what is predicted, as of
        :class:`~skldos.FreeEnergyRegressor`.
    %(memory)s
    %(verbose)s

    Returns
    -------
    sklearn.pipeline.Pipeline
        From snapshots with the references ``"total_energy"`` and ``"forces"`` (or atoms, to
        predict) to free energies.

    See Also
    --------
    FreeEnergyCalculator : Dynamics with it.

    Notes
    -----
    The model is fitted to 21 snapshots of 32 aluminium atoms. On nine snapshots calculated
    afterwards, errors are 1.2 meV/atom (mean absolute error) and 0.030 eV/Å (root mean square). The
    descriptor was chosen among a dozen on six of these nine. With the descriptor chosen inside the
    training data, leaving out one of the 21 at a time gives 0.8 meV/atom and 0.026 eV/Å. See
    ``benchmarks/dynamics/README.md``.

    Examples
    --------
    >>> import skldos
    >>> from skldos.datasets import load_aluminium
    >>> snapshots = load_aluminium(temperature=298)
    >>> model = skldos.models.potential(r_cut=4, n_max=4, l_max=3, fade=1).fit(snapshots[:3])
    >>> skldos.predict(model, snapshots[3:])["total_energy"].shape
    (1,)
    """
    from sklearn.pipeline import make_pipeline

    from skldos.descriptors import AtomSOAPTransformer
    from skldos.regressors import FreeEnergyRegressor

    return make_pipeline(
        AtomSOAPTransformer(
            r_cut=r_cut,
            n_max=n_max,
            l_max=l_max,
            sigma=sigma,
            rbf=rbf,
            fade=fade,
            center_species=center_species,
            memory=memory,
            verbose=verbose,
        ),
        FreeEnergyRegressor(forces=forces, temperature=temperature),
    )
