"""`python -m formation`."""

import sys

from formation.cli.start import main

sys.exit(main())
