"""Descriptors and regressors of atoms that the studies of this folder share."""

from benchmarks.common import harness

#: Descriptors and targets of all studies, which do not depend on them.
BLOCKS = harness.OUTPUT / "atoms" / "blocks"


def make(*steps):
    from sklearn.pipeline import make_pipeline

    return make_pipeline(*steps)


def snap(*cutoffs, twojmax):
    """Return concatenated, normalised bispectra with several cutoffs."""
    from sklearn.preprocessing import StandardScaler

    from skldos import AtomSNAPTransformer, RowWise
    from skldos.descriptors.union import BlockUnion

    parts = [
        (f"{r_cut}", AtomSNAPTransformer(r_cut, twojmax, memory=str(BLOCKS))) for r_cut in cutoffs
    ]
    return [BlockUnion(parts), RowWise(StandardScaler())]


def soap(r_cut=8.0, n_max=12, sigma=0.6):
    """Return SOAP vectors of unit length.

    Radial functions end at `r_cut`; atoms beyond it contribute as far as their Gaussians reach
    into them, and fade out.
    """
    from sklearn.preprocessing import Normalizer

    from skldos import AtomSOAPTransformer, RowWise

    reach = 6.0 * sigma / 1.1
    options = {"basis_radius": r_cut, "r_cut": r_cut + reach, "fade": reach}
    options |= {"n_max": n_max, "l_max": 8, "sigma": sigma}
    return [
        AtomSOAPTransformer(memory=str(BLOCKS), **options),
        RowWise(Normalizer()),
    ]


def wide_soap():
    """Return SOAP vectors of wide Gaussians nearby: the best ones."""
    return soap(4.0, 8, 1.1)


def two_soaps():
    """Return SOAP vectors of two cutoffs, each of unit length."""
    from skldos.descriptors.union import BlockUnion

    near, far = make(*soap(6.0, 10, 0.4)), make(*soap())
    return [BlockUnion([("near", near), ("far", far)])]


def posterior(dos_weight=100):
    """Return ridge regression with its posterior."""
    from sklearn.linear_model import Ridge

    from skldos.regressors import SiteRegressor
    from skldos.uncertainty import RidgePosterior

    return RidgePosterior(SiteRegressor(Ridge(1e-5), dos_weight=dos_weight), random_state=0)


def ridge(alpha, dos_weight=None, band_weight=None, sigma=1.3, partition="gaussian"):
    """Return ridge regression of the DOS of atoms."""
    from sklearn.linear_model import Ridge

    from skldos.regressors.site import SiteRegressor

    regressor = SiteRegressor(Ridge(alpha), dos_weight=dos_weight, band_weight=band_weight)
    return of_atoms(regressor, sigma, partition)


def of_atoms(regressor, sigma=1.3, partition="gaussian"):
    """Return a model of the DOS of atoms with a regressor of blocks, as last step of a pipeline."""
    from skldos.decomposition import ADOSDecomposer
    from skldos.regressors.ados import ADOSRegressor

    return [ADOSRegressor(regressor, ADOSDecomposer(sigma, partition, memory=str(BLOCKS)))]


def network(seed):
    """Return a small network on normalised descriptors, with the output layer refitted to sums."""
    import torch
    from sklearn.preprocessing import StandardScaler

    from skldos import LDOSRegressor, RowWise

    torch.set_num_threads(1)
    regressor = LDOSRegressor(
        module__hidden_layer_sizes=(100,),
        module__activation="silu",
        optimizer=torch.optim.AdamW,
        optimizer__weight_decay=1.0,
        lr=3e-3,
        lr_schedule="cosine",
        max_epochs=100,
        batch_size=64,
        target_scaling="standard",
        random_state=seed,
    )
    return [RowWise(StandardScaler()), *of_atoms(regressor)]
