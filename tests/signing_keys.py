"""Keys of minisign for tests."""

from pathlib import Path

import minisign


def write_keys(path: Path) -> tuple[Path, Path]:
    """Write a secret and a public key, without password; return their paths."""
    pair = minisign.KeyPair.generate()
    secret, public = path.with_suffix(".key"), path.with_suffix(".pub")
    secret.write_bytes(b"untrusted comment: x\n" + pair.secret_key.to_base64() + b"\n")
    public.write_bytes(bytes(pair.public_key) + b"\n")
    return secret, public
