"""What every bench needs: pairs of runs, a lab, and the words for the result."""
