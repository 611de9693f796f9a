"""Pictures: heat maps, canvases, contact sheets and videos."""
