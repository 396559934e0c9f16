"""Terms of the total energy, one module each."""
