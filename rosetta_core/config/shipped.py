"""The weights that lie in this package, in `rosetta_core/zoo/shipped`.

SHIPPED    by name the checksum of each file, SHA-256 in hexadecimal
LICENCE    of all of them
"""

__all__ = ["LICENCE", "SHIPPED"]

SHIPPED = {
    "mae_faces": "4472514783c9af3e7fe7e0ecacc81b24a8aac8dc1abd6a3a2bdb141489d051c4",
}
LICENCE = "MIT"
