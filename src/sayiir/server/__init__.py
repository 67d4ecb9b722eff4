"""The HTTP API and the pages, over `sayiir.service`."""
