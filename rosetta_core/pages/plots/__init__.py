"""Figures for papers, as PDF and PNG."""
