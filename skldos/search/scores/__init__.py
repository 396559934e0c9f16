"""Training-free scores of networks and descriptors, as callables for ``scoring=``.

Networks: the Jacobians of untrained networks (NASWOT), and the error of random features with a
fitted output layer (readout). Descriptors: the difference of cosine similarities (ACSD), and the
mutual information with the LDOS.
"""

from skldos.search.scores.acsd import ACSDScorer, acsd
from skldos.search.scores.information import MutualInformationScorer, mutual_information
from skldos.search.scores.naswot import NASWOTScorer, naswot_score
from skldos.search.scores.readout import ReadoutScorer, readout_score

__all__ = [
    "NASWOTScorer",
    "naswot_score",
    "ReadoutScorer",
    "readout_score",
    "ACSDScorer",
    "acsd",
    "MutualInformationScorer",
    "mutual_information",
]
