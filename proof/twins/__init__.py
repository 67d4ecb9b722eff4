"""Two engines of one API beside each other: real `sayiir` 1.0.0 and this one, run by the same script."""
