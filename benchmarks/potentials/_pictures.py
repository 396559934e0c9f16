"""The figure of `models.py`: a potential along a line, and the mixtures of some atoms."""

import numpy as np

from benchmarks.common import harness


def draw(path, decomposer, snapshot, predictions, mixtures, true, whiten):
    """Draw one held-out snapshot.

    `predictions` are blocks of coefficients by name, `mixtures` those of its atoms in whitened
    coefficients, and `true` its coefficients.
    """
    plt = harness.pyplot()
    figure, (along, plane) = plt.subplots(1, 2, figsize=(11, 4.2), width_ratios=(1.6, 1))
    _line(along, decomposer, snapshot, {"fit": true, **predictions})
    _components(plane, mixtures, whiten(true))
    figure.tight_layout()
    figure.savefig(path, dpi=110)
    plt.close(figure)


def _line(ax, decomposer, snapshot, coefficients):
    """Draw potentials along the first cell vector through the grid point nearest to an atom."""
    (V,) = decomposer.potentials([snapshot])
    at = _grid_point(snapshot)
    length = np.linalg.norm(snapshot.atoms.cell[0])
    x = np.arange(V.shape[0]) * length / V.shape[0]
    mean = V.mean()
    ax.plot(x, (V - mean)[:, at[1], at[2]], color="0.6", lw=4, label="true")
    for name, block in coefficients.items():
        (found,) = decomposer.inverse_transform([block], [snapshot])
        style = "k:" if name == "fit" else "-"
        label = {"fit": "its Gaussians"}.get(name, name)
        ax.plot(x, (found - found.mean())[:, at[1], at[2]], style, label=label)
    ax.axvline(x[at[0]], color="0.8", lw=1, zorder=0)
    ax.set(xlabel="along the cell, through an atom (Å)", ylabel="ΔV − mean (eV)")
    ax.set_title(snapshot.reference["name"])
    ax.legend(frameon=False)


def _grid_point(snapshot):
    fractional = snapshot.atoms.get_scaled_positions()[0]
    return np.round(fractional * snapshot.grid_shape).astype(int) % snapshot.grid_shape


def _components(ax, mixtures, true, n_atoms=4):
    """Draw the two coefficients that vary most: components as ellipses, truth as stars."""
    turn = np.linspace(0, 2 * np.pi, 60)
    circle = np.stack([np.cos(turn), np.sin(turn)])
    colors = [f"C{i}" for i in range(n_atoms)]
    for i, color in enumerate(colors):
        for weight, mean, covariance in zip(
            mixtures.weights[i], mixtures.means[i], mixtures.covariances[i], strict=True
        ):
            edge = mean[-2:, None] + np.linalg.cholesky(covariance[-2:, -2:]) @ circle
            ax.fill(edge[1], edge[0], color=color, alpha=0.5 * weight, lw=0)
            ax.plot(edge[1], edge[0], color=color, lw=0.2 + 1.5 * weight)
        ax.plot(true[i, -1], true[i, -2], "*", color=color, ms=11, mec="k", mew=0.5)
    ax.set(xlabel="largest component of the coefficients", ylabel="second largest")
    ax.set_title(f"mixtures of {n_atoms} atoms (1 std), and truth")
