"""Signatures of finished runs, in the format of minisign.

A signature covers `provenance.json`, which lists the SHA-256 of everything else. Keys and
signatures are those of the program minisign (https://jedisct1.github.io/minisign): it verifies
signatures made here, and its keys are used here. The package `py-minisign` is an extra.
"""

import getpass
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from rosetta_core.errors import RosettaError, one_line
from rosetta_core.io.atomic import atomic_path, explain_read_only
from rosetta_core.io.regular_files import read_regular
from rosetta_core.runs.provenance.digests import PROVENANCE, SIGNATURE

if TYPE_CHECKING:
    import minisign

__all__ = ["check_signature", "read_public_key", "read_secret_key", "sign_provenance"]

MAX_BYTES = 10_000  # of keys and signatures


def read_secret_key(path: Path) -> "minisign.SecretKey":
    """Read a secret key of minisign; if it is encrypted, its password is asked for.

    Raises:
        RosettaError: the file is not a secret key, or its password is wrong or cannot be asked for.
    """
    _import()
    from minisign import SecretKey

    content = _read_key(path)
    try:
        key = SecretKey.from_bytes(content)
        encrypted = key.is_encrypted()
        if encrypted and sys.stdin.isatty():
            key.decrypt(getpass.getpass(f"Password of {path}: "))
    except ValueError as error:
        raise RosettaError(
            f"{path}: cannot be used as a secret key ({one_line(error)}); create one with "
            "minisign -G"
        ) from error
    if encrypted and not sys.stdin.isatty():
        raise RosettaError(
            f"{path}: is encrypted, and there is no terminal to ask for its password; run the "
            "command in a terminal, or use a key without password (minisign -G -W)"
        )
    return key


def read_public_key(path: Path) -> "minisign.PublicKey":
    """Read a public key of minisign; RosettaError if the file is not one."""
    _import()
    from minisign import PublicKey

    content = _read_key(path)
    try:
        return PublicKey.from_bytes(content)
    except ValueError as error:
        raise RosettaError(
            f"{path}: cannot be used as a public key ({one_line(error)}); give the .pub file of "
            "minisign"
        ) from error


def sign_provenance(run: Path, key: "minisign.SecretKey") -> Path:
    """Write the signature of a run's provenance; return its path."""
    path, signature = run / PROVENANCE, run / SIGNATURE
    signed = key.sign(
        read_regular(path),
        trusted_comment=f"timestamp:{int(time.time())}\tfile:{PROVENANCE}\thashed",
    )
    cure = "make the run writable"
    with explain_read_only(run, cure=cure), atomic_path(signature) as temporary:
        temporary.write_bytes(bytes(signed) + b"\n")
    return signature


def check_signature(run: Path, key: "minisign.PublicKey") -> str:
    """Verify the signature of a run's provenance; return its trusted comment, on one line.

    Raises:
        RosettaError: there is no signature, it is not by this key, or provenance or signature were
            changed since.
    """
    from minisign import Signature, VerifyError

    path = run / SIGNATURE
    cure = "do not trust this run, or ask for the signature of its author"
    try:
        signature = Signature.from_bytes(read_regular(path, max_bytes=MAX_BYTES))
        key.verify(read_regular(run / PROVENANCE), signature)
    except FileNotFoundError as error:
        raise RosettaError(f"{error.filename}: is missing; {cure}") from error
    except VerifyError as error:
        other = "identifiers" in str(error)
        reason = (
            "was made with another key"
            if other
            else f"does not match {PROVENANCE}, which was changed since, or was made by a forger"
        )
        raise RosettaError(f"{path}: {reason}; {cure}") from error
    except (OSError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(f"{path}: is not a signature ({reason}); {cure}") from error
    return one_line(signature.trusted_comment.replace("\t", " "))


def _read_key(path: Path) -> bytes:
    """Return the content of a key file, which may be a link; RosettaError if it cannot be read."""
    try:
        return read_regular(path.resolve(), max_bytes=MAX_BYTES)
    except (OSError, ValueError) as error:
        reason = one_line((isinstance(error, OSError) and error.strerror) or error)
        raise RosettaError(f"{path}: cannot be read ({reason}); give a key file") from error


def _import() -> None:
    try:
        import minisign  # noqa: F401
    except ImportError as error:
        raise RosettaError(
            "--sign, --key: the package py-minisign is not installed; install rosetta-core[sign]"
        ) from error
