"""Images of all kinds: heat maps, figures, contact sheets, loss curves and videos."""
