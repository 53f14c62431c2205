"""Snakemake, ending with the driver that started it."""

import sys

from snakemake.cli import main

from workflow.progress import end_with_driver

if __name__ == "__main__":
    end_with_driver()
    sys.exit(main(sys.argv[1:]))
