"""`python -m sayiir.cli` is the command `sayiir`."""

from sayiir.cli import main

if __name__ == "__main__":
    main()
