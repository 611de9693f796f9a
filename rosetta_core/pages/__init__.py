"""Pages: heat maps, sheets for papers, and the dictionary of a run."""
