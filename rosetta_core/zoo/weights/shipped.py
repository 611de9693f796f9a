"""The weights that lie in this package, in `rosetta_core/zoo/shipped`.

SHIPPED    by name the checksum of each file, SHA-256 in hexadecimal
LICENCE    of all of them
"""

__all__ = ["LICENCE", "SHIPPED"]

SHIPPED = {
    "dino_faces": "c7e37472f8cf7eaef541c3a3be3b42a75bced6456dd4d41ce4528c1ed555f053",
    "mae_faces": "4472514783c9af3e7fe7e0ecacc81b24a8aac8dc1abd6a3a2bdb141489d051c4",
}
LICENCE = "MIT"
