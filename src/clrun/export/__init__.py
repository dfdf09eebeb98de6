"""A trained model as one file for programs that know nothing of clrun."""
