r"""Cluster-robust covariance of a regression for few clusters: CR2 with its own degrees of freedom, in one or two ways.

The plain sandwich (CR1) with a normal quantile finds too much with less than about 50 clusters, or where few clusters
carry a coefficient. CR2 (Bell & McCaffrey 2002) is unbiased where the working model holds, and its t quantile takes the
degrees of freedom from the design (Pustejovsky & Tipton 2018, "Small-Sample Methods for Cluster-Robust Variance
Estimation", sections 2 and 3; working model: independent rows). For a mean over equal clusters the result is the t test
over their means.

With rows :math:`x_i`, working weights :math:`w_i`, and residuals :math:`r_i` on the scale of the score, of cluster g

.. math:: A_g = \sum_{i \in g} w_i x_i x_i', \quad s_g = \sum_{i \in g} r_i x_i, \quad B = (\sum_g A_g)^{-1} = L L',
   \quad M_g = L' A_g L, \qquad V = \sum_g \iota_g \iota_g', \quad \iota_g = L (I - M_g)^{-1/2} L' s_g ,

which needs matrices of the number of coefficients only (the textbook form needs one row and column a verdict; the tests
compare the two). Neither statsmodels nor scipy has CR2.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp

from reports.statistics.two_variances import freedom_of_sum

Floats = npt.NDArray[np.float64]
Integers = npt.NDArray[np.integer]


@dataclass(frozen=True)
class ClusterRobust:
    """What the variances of linear combinations of the coefficients are made of.

    Attributes:
        root: L (p, p).
        influence: The influence of each cluster on the coefficients (C, p).
        adjusted: (I - M_g)^(-1/2) M_g (C, p, p), for the degrees of freedom.
        squared: (I - M_g)^(-1) M_g (C, p, p).
    """

    root: Floats
    influence: Floats
    adjusted: Floats
    squared: Floats

    def variance(self, contrasts: npt.ArrayLike) -> tuple[Floats, Floats]:
        """Variance and degrees of freedom of each combination of the coefficients (m, p), both (m,)."""
        rows = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
        variance = ((self.influence @ rows.T) ** 2).sum(axis=0)
        freedom = np.empty(len(rows))
        for number, row in enumerate(rows @ self.root):
            own = (self.squared @ row) @ row
            shared = self.adjusted @ row
            trace = own.sum() - (shared**2).sum()
            # Frobenius norm of diag(own) - shared shared', without the clusters x clusters matrix.
            norm = (own**2).sum() - 2 * (own * (shared**2).sum(axis=1)).sum() + ((shared.T @ shared) ** 2).sum()
            freedom[number] = trace**2 / norm if norm > 0 else np.nan
        return variance, freedom


def cluster_robust(
    *, design: npt.ArrayLike, weight: npt.ArrayLike, residual: npt.ArrayLike, cluster: npt.ArrayLike
) -> ClusterRobust:
    """CR2 over one set of clusters.

    Args:
        design: Rows x (n, p), of full rank.
        weight: Working weights (n,): 1 in least squares, n p (1 - p) for a count in logistic regression.
        residual: Residuals times the derivative of the score (n,): y - mu in least squares and for counts.
        cluster: Number of each row's cluster, 0..C-1 (n,).
    """
    x, w = np.asarray(design, dtype=np.float64), np.asarray(weight, dtype=np.float64)
    groups = np.asarray(cluster)
    size = x.shape[1]
    members = sp.csr_array((np.ones(len(groups)), (groups, np.arange(len(groups)))))
    outer = (x[:, :, None] * (w[:, None] * x)[:, None, :]).reshape(len(x), -1)
    information = (members @ outer).reshape(-1, size, size)
    scores = members @ (x * np.asarray(residual, dtype=np.float64)[:, None])
    root = np.linalg.cholesky(np.linalg.inv(information.sum(axis=0)))
    eigenvalues, vectors = np.linalg.eigh(root.T @ information @ root)
    left = 1.0 - eigenvalues
    # A direction that a cluster alone decides has no residual; it contributes nothing, as in the generalised inverse.
    scale = np.where(left > 1e-9, 1.0 / np.sqrt(np.maximum(left, 1e-9)), 0.0)
    inverse_root = (vectors * scale[:, None, :]) @ vectors.transpose(0, 2, 1)
    return ClusterRobust(
        root=root,
        influence=(inverse_root @ (scores @ root)[:, :, None])[:, :, 0] @ root.T,
        adjusted=(vectors * (scale * eigenvalues)[:, None, :]) @ vectors.transpose(0, 2, 1),
        squared=(vectors * (scale**2 * eigenvalues)[:, None, :]) @ vectors.transpose(0, 2, 1),
    )


def cell_covariance(*, design: Floats, residual: Floats, bread: Floats, cell: Integers, alike: Integers) -> Floats:
    r"""What two crossed sets of clusters have in common: the sandwich over cells of residuals centred within a problem.

    In :math:`y_{sg} = \mu + u_s + v_g + w_{sg}` both the clusters of s and those of g contain w; it must count once.
    Cameron, Gelbach & Miller (2011) subtract the sandwich over all cells, which contains v too and takes away too much
    when there are few s. So residuals are centred over the rows that are alike but for s, which leaves w.

    Args:
        design: (n, p).
        residual: (n,).
        bread: (p, p).
        cell: Number of each row's cell (s, g), (n,).
        alike: Number of each row's group of rows that differ in s alone, (n,); single rows contribute nothing.

    Returns:
        (p, p).
    """
    size = np.bincount(alike)[alike]
    centred = residual - np.bincount(alike, residual)[alike] / size
    scores = design * (centred * np.sqrt(np.where(size > 1, size / np.maximum(size - 1, 1), 0.0)))[:, None]
    influence = (sp.csr_array((np.ones(len(cell)), (cell, np.arange(len(cell))))) @ scores) @ bread
    return np.asarray(influence.T @ influence)


def two_way_variance(
    *, contrasts: npt.ArrayLike, few: ClusterRobust, many: ClusterRobust, cells: Floats
) -> tuple[Floats, Floats]:
    r"""Variance and degrees of freedom with two crossed sets of clusters, such as seeds (few) and problems (many).

    .. math:: V = V_{few} + (V_{many} - V_{cells})_+ , \quad f = V_{few}/V

    The counterpart of `reports.statistics.crossed`, with its degrees of freedom (`freedom_of_sum` of the share f), for
    a regression.

    Args:
        contrasts: Combinations of the coefficients (m, p).
        few: Over the smaller set of clusters.
        many: Over the larger one.
        cells: From `cell_covariance`.
    """
    rows = np.atleast_2d(np.asarray(contrasts, dtype=np.float64))
    first, first_freedom = few.variance(rows)
    second, second_freedom = many.variance(rows)
    rest = np.maximum(second - ((rows @ cells) * rows).sum(axis=1), 0.0)
    variance = first + rest
    with np.errstate(invalid="ignore", divide="ignore"):
        share = first / variance
    freedom = [
        freedom_of_sum(share=part, few=fewer, many=more) if np.isfinite([part, fewer, more]).all() else np.nan
        for part, fewer, more in zip(share.tolist(), first_freedom.tolist(), second_freedom.tolist(), strict=True)
    ]
    return variance, np.array(freedom)
