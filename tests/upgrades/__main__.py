"""`python -m tests.upgrades URL > tests/upgrades/REVISION.json`: keeps a ledger as its program wrote it, for upgrades."""

import sys

from cloud.database import create_engine_for
from tests.upgrades.ledgers import dump

if __name__ == "__main__":
    sys.stdout.write(dump(create_engine_for(sys.argv[1])))
