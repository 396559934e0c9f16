"""Parameter texts that the regressors share; see :func:`skldos.docstrings.documented`."""

from skldos.docstrings import entries_of

PARAMETERS = entries_of("""
    criterion : type, default=torch.nn.MSELoss
        Loss between outputs and normalised targets.
    optimizer : type, default=torch.optim.Adam
        Optimizer.
    max_epochs : int, default=100
        Passes over the training data; 0 only initialises the network.
    train_split : None, int, float, array-like of int or callable, default=None
        Validation snapshots: their number, fraction or indices, or a skorch splitter. For plain
        arrays the same applies to rows. None disables validation.
    early_stopping : int, optional
        Stop when the validation loss has not improved for this many epochs, and restore the
        weights of the best epoch. None trains for `max_epochs`.
    lr_schedule : {"plateau", "cosine"} or None, default="cosine"
        Divide the learning rate by ten when the loss stalls
        (``callbacks__lr_schedule__patience``, ``…__factor``), or anneal it to zero. None keeps it.
    target_scaling : {"max", "minmax", "standard"} or None, default="max"
        Normalisation of the targets: divide by the largest absolute value in the training data,
        scale to [0, 1], scale every output to zero mean and unit variance, or none.
    buffer_size : float, default=256
        Memory in MiB for the rows from which batches are drawn.
    callbacks : list, optional
        skorch callbacks.
    checkpoint : str or path-like, optional
        Folder in which the training is stored after every epoch. A killed process loses at most
        one epoch: run again with the same parameters and data, and ``fit`` continues from there
        with the same bits. Needs an integer `random_state`.
    warm_start : bool, default=False
        Whether ``fit`` continues from the last fit.
    verbose : int, default=0
        0 is silent, 1 shows a progress bar, 2 prints a line per epoch.
    device : str, default="cpu"
        Device of the network, such as ``"cuda"``.
    distributed : "auto" or None, default=None
        Whether the processes started by ``torchrun`` train one model together: "auto" distributes
        the rows of every batch among them, and has no effect with one process. All processes must
        call ``fit`` with the same parameters and all snapshots; all end with the same model. None
        is an error with several processes.
    compile : bool, default=False
        Whether to compile the network with ``torch.compile``.
""")

ATTRIBUTES = entries_of("""
    module_ : torch.nn.Module
        The trained network.
    target_center_, target_scale_ : ndarray
        The normalisation, y = center + scale · output.
    n_features_in_, n_outputs_ : int
        Numbers of inputs and outputs.
    feature_range_ : ndarray of shape (2, n_features) or None
        Smallest and largest value of every feature in the training data, of blocks on disk in some
        thousand of their rows. Predictions far outside of it warn. None of fewer than 100 rows.
    energies_ : ndarray of shape (n_outputs,) or None
        Energies of the outputs in eV, if the blocks were linked to snapshots.
    broadening_, kernel_ : float and str, or None
        Broadening of the snapshots' LDOS, as in :class:`~skldos.EnergyGrid`.
""")

OF_NETS = PARAMETERS | ATTRIBUTES

OF_SITES = ATTRIBUTES | entries_of("""
    y : sequence of array-like, optional
        Targets, per block ``(n_sites, n_outputs)`` or on the grid. None uses the LDOS of the
        blocks' snapshots.
    X : Blocks of shape (n_snapshots,)
        One block ``(n_sites, n_features)`` per snapshot.
""")
