"""Top images of units and concepts, concept scores and selectivity."""
