"""`python -m pupload` is `pup`."""

from pupload.cli.main import main

main()
