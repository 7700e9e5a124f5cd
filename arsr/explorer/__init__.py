"""The clips behind a number: which clips turn when one method takes the place of another, and a look at each."""
