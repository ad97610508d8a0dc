"""When is drift large enough to matter?

A report's own rule says whether a column drifted. On undrifted tables those rules raise many false alarms: p < 0.05 per
column on 32–46 % of tables, PSI > 0.1 on 95 % of tables of 200 rows. So a second question is asked: is it *material*?

* Distances share one scale. For the population stability index two limits of a significant change are in common use, 0.2
  and 0.25 (Siddiqi, Credit Risk Scorecards, 2006); we take the lower one. Two normal distributions of equal spread, d standard deviations apart, have
  PSI = d², so that limit is d = 0.45, close to Cohen's medium effect (0.5). The other limits are what the same two
  distributions give, rounded: normed Wasserstein = d, Kullback-Leibler = d²/2, Jensen-Shannon distance = d/√8 with
  natural logarithms and d/√(8 ln 2) in bits, Hellinger likewise, Kolmogorov-Smirnov and largest category difference
  = 2Φ(d/2) − 1.
* P-values are corrected for the number of columns tested (Bonferroni), and where the report also gives an effect size it
  must be at least 0.1: together 0–3 % of undrifted tables.
* A column that has not drifted by the report's own rule is never material; a method we do not know gives no answer.
"""

from __future__ import annotations

from collections.abc import Mapping

ENOUGH_WITH_A_P_VALUE = 0.1  # of the Kolmogorov-Smirnov statistic or Cramér's V, beside a corrected p-value

LARGE: Mapping[str, float] = {
    "psi": 0.2,
    "wasserstein": 0.45,
    "kullback_leibler": 0.1,
    "jensen_shannon": 0.15,
    "jensen_shannon_bits": 0.18,
    "hellinger": 0.15,
    "kolmogorov_smirnov": 0.17,
    "l_infinity": 0.17,
    "mean_shift": 0.45,
}


def large_distance(scale: str | None, score: float | None, drifted: bool | None) -> bool | None:
    """Whether a distance on a scale of LARGE matters; None where the scale or the verdict is unknown."""
    if drifted is False:
        return False
    if drifted is None or score is None or scale is None or scale not in LARGE:
        return None
    return score >= LARGE[scale]


def small_p_value(p: float | None, level: float, tests: int, drifted: bool | None, effect: float | None) -> bool | None:
    """Whether a p-value still speaks after Bonferroni over `tests` columns, and its effect, if known, is big enough."""
    if drifted is False:
        return False
    if drifted is None or p is None:
        return None
    return p < level / max(tests, 1) and (effect is None or effect >= ENOUGH_WITH_A_P_VALUE)
