"""`python -m engine`: the same as `pgmwatch`."""

from engine.cli import main

if __name__ == "__main__":
    main()
