"""What any potential must do, tried on structures: symmetry, derivatives, smoothness, cores of pairs, conservation."""
