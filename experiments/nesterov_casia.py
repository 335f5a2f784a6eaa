"""Does Nesterov's momentum help on CASIA, alone and with a larger embedding behind dropout?

Cost: five variants of 70 epochs of 490,623 images.  Expected: Nesterov gains .007 on agedb_30.
"""

import baseline_casia
from baseline_casia import norms

from workbench import SGDW, E

base = baseline_casia.experiment.but(name="base")
nesterov = SGDW(momentum=0.9, nesterov=True)
dropped = E(size=512, dropout=0.4, **norms)

experiments = [
    base,
    base.but(embedding=E(size=512, **norms), name="512"),
    base.but(embedding=dropped, name="512-dropout"),
    base.but(optimizer=nesterov, name="nesterov"),
    base.but(optimizer=nesterov, embedding=dropped, name="nesterov-512-dropout"),
]
