"""What fitted models predict for snapshots: fields, densities of states, energies, forces."""

from skldos.prediction.density import predict_density
from skldos.prediction.dos import dos_of_block, predict_dos
from skldos.prediction.forces import predict_forces, predict_stress
from skldos.prediction.ldos import predict_ldos

__all__ = [
    "predict_dos",
    "predict_density",
    "predict_ldos",
    "predict_forces",
    "predict_stress",
    "dos_of_block",
]
