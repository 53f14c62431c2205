"""Two short series of real numbers over time, both in the public domain."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["earthquakes", "nile"]

# fmt: off
_NILE = (
    1120, 1160, 963, 1210, 1160, 1160, 813, 1230, 1370, 1140, 995, 935, 1110, 994, 1020, 960, 1180,
    799, 958, 1140, 1100, 1210, 1150, 1250, 1260, 1220, 1030, 1100, 774, 840, 874, 694, 940, 833,
    701, 916, 692, 1020, 1050, 969, 831, 726, 456, 824, 702, 1120, 1100, 832, 764, 821, 768, 845,
    864, 862, 698, 845, 744, 796, 1040, 759, 781, 865, 845, 944, 984, 897, 822, 1010, 771, 676, 649,
    846, 812, 742, 801, 1040, 860, 874, 848, 890, 744, 749, 838, 1050, 918, 986, 797, 923, 975, 815,
    1020, 906, 901, 1170, 912, 746, 919, 718, 714, 740,
)
_EARTHQUAKES = (
    13, 14, 8, 10, 16, 26, 32, 27, 18, 32, 36, 24, 22, 23, 22, 18, 25, 21, 21, 14, 8, 11, 14, 23,
    18, 17, 19, 20, 22, 19, 13, 26, 13, 14, 22, 24, 21, 22, 26, 21, 23, 24, 27, 41, 31, 27, 35, 26,
    28, 36, 39, 21, 17, 22, 17, 19, 15, 34, 10, 15, 22, 18, 15, 20, 15, 22, 19, 16, 30, 27, 29, 23,
    20, 16, 21, 21, 25, 16, 18, 15, 18, 14, 10, 15, 8, 15, 6, 11, 8, 7, 18, 16, 13, 12, 13, 20, 15,
    16, 12, 18, 15, 16, 13, 15, 16, 11, 11,
)
# fmt: on


def nile() -> Tensor:
    """Yearly flow of the Nile at Aswan, 1871 to 1970, in 10⁸ m³, ``(100, 1)``.

    Source: Cobb (1978), as in Durbin & Koopman (2012).

    >>> nile().shape, float(nile().mean())
    (torch.Size([100, 1]), 919.35)
    """
    return torch.tensor(_NILE, dtype=torch.float64)[:, None]


def earthquakes() -> Tensor:
    """Number of earthquakes of magnitude 7 or more in each year, 1900 to 2006, ``(107, 1)``.

    Source: United States Geological Survey, as in Zucchini & MacDonald (2009).

    >>> earthquakes().shape, int(earthquakes().sum())
    (torch.Size([107, 1]), 2072)
    """
    return torch.tensor(_EARTHQUAKES, dtype=torch.float64)[:, None]
