"""All mutants."""

from proof.mutants.later import LATER
from proof.mutants.mutant import Mutant
from proof.mutants.rules import RULES
from proof.mutants.running import RUNNING
from proof.mutants.stores import STORES

MUTANTS: tuple[Mutant, ...] = RULES + STORES + RUNNING + LATER
