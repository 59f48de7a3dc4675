"""`python -m formation`."""

import sys

from formation.cli.main import main

sys.exit(main())
