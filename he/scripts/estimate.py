"""The lattice estimator on the instance of docs/CRYPTO.md (after the hint) for the smallest and largest moduli.

    git clone https://github.com/malb/lattice-estimator
    python3.12 -m venv /tmp/sage
    /tmp/sage/bin/pip install passagemath-standard-no-symbolics passagemath-symbolics scipy  # or SageMath 10
    PYTHONPATH=lattice-estimator /tmp/sage/bin/python he/scripts/estimate.py
"""

from sage.all import log
from estimator import LWE, ND, RC

N, KEY, ERROR = 4096, 3.2, 4.53
ATTACKS = [
    ("usvp, MATZOV", lambda p: LWE.primal_usvp(p, red_cost_model=RC.MATZOV)),
    ("usvp, core-SVP", lambda p: LWE.primal_usvp(p, red_cost_model=RC.ADPS16, red_shape_model="gsa")),
    ("hybrid dual, MATZOV", lambda p: LWE.dual_hybrid(p, red_cost_model=RC.MATZOV)),
]

for bits in (36, 51, 58, 62):
    # Unlimited samples: one key serves all blocks of a ciphertext.
    parameters = LWE.Parameters(
        n=N, q=2**bits, Xs=ND.DiscreteGaussian(KEY), Xe=ND.DiscreteGaussian(ERROR)
    )
    for name, attack in ATTACKS:
        cost = attack(parameters)
        print(f"q = 2^{bits}  {name:20} 2^{float(log(cost['rop'], 2)):.1f}  block size {cost['beta']}", flush=True)
