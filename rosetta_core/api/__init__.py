"""The public API: mining in memory, for scripts and notebooks."""
