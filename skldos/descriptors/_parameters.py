"""Parameter texts that the transformers share; see :func:`skldos.docstrings.documented`."""

from skldos.docstrings import entries_of

PARAMETERS = entries_of("""
    grid_shape : tuple of 3 int, optional
        Points along each cell vector, for snapshots without a grid; by default the grid of each
        snapshot.
    n_jobs : int, optional
        Number of threads; None uses all threads available to this process. Within
        ``joblib.parallel_config("dask")``, or any backend other than threads, ``transform`` and
        the cache use this number of its workers instead. The blocks are bitwise identical.
    memory : str, path-like or joblib.Memory, optional
        Folder for caching blocks. Cached blocks are returned as lazy handles and reused by later
        calls, other folds and other processes.
    verbose : bool, default=False
        Whether to show a progress bar.
    species : sequence of str, optional
        Elements to distinguish; by default those seen in ``fit``.
    species_ : list of str
        The elements that the features distinguish.
    n_features_out_ : int
        Number of features.
    by_positions : ndarray of shape (n_atoms, 3)
        The derivative with respect to the positions, per Å.
    by_strain : ndarray of shape (3, 3)
        The derivative with respect to a strain ε that maps every row vector x to x (1 + ε).
""")

OF_SNAP = PARAMETERS | entries_of("""
    r_cut : float, default=4.67637
        Cutoff radius in Å.
    twojmax : int, default=10
        Twice the largest angular momentum of the expansion; 10 gives 91 features.
    rfac0 : float, default=0.99363
        Fraction of the 3-sphere onto which distances up to the cutoff are mapped.
    rmin0 : float, default=0.0
        Distance in Å below which neighbours have their full weight.
    switch : bool, default=True
        Whether neighbours fade out smoothly towards the cutoff.
    weights : dict of str to float, optional
        Weight of each element in the neighbour density, such as ``{"Na": 1.0, "Cl": 0.6}``;
        1 for all by default, which does not distinguish elements.
    chem : bool, default=False
        Whether each element has its own neighbour density, as with ``chem`` in LAMMPS. There are
        components for all triples of the elements seen in ``fit``, eight times as many for two
        elements. `weights` scale these densities.
    dtype : {"float64", "float32"}, default="float64"
        Precision of computation and result.
    device : str, default="cpu"
        ``"cpu"`` for the compiled kernel, ``"cuda"`` for a GPU.
    species_ : list of str
        Elements seen in ``fit``.
    n_features_out_ : int
        Number of components.
""")

OF_SOAP = PARAMETERS | entries_of("""
    n_max : int
        Number of radial functions.
    l_max : int, default=6
        Largest angular momentum.
    sigma : float
        Width of the Gaussians in Å.
    dtype : {"float64", "float32"}, default="float64"
        Precision of the result; computed in double precision.
""")
