"""Benchmarks of cost and accuracy: one folder per question, see README.md.

Every script is a module, run from the root of the repository:

    python -m benchmarks.descriptors.bispectrum --help
"""
