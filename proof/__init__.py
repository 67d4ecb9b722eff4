"""The proof of reliability: what `make prove` runs, apart from the tests of every push."""
