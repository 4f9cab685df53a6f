"""One HTML page of a run or several, made from the run's files alone."""
