"""`python -m jaxdyn` is the `jaxdyn` command."""

from jaxdyn.cli import main

if __name__ == "__main__":
    main()
