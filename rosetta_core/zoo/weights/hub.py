"""What the names of hubs stand for, and files out of their repositories.

resolve_hub_name            what a hub's name stands for
HubFile            a file in a repository of Hugging Face, or at an address
download_from_repository    get a file out of a repository of Hugging Face
"""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.atomic import file_sha256
from rosetta_core.zoo.weights.download import UnreachableError, download

__all__ = ["HubFile", "download_from_repository", "resolve_hub_name"]

# by hub what the files of its repositories are called; one that can't carry code comes first
TIMM = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")

CHECKSUM = re.compile("[0-9a-f]{64}")  # the ETag of a large file; other files have other ETags


@dataclass(frozen=True)
class HubFile:
    """A file in a repository of Hugging Face, or at an address.

    Attributes:
        repository: OWNER/NAME; None for a file at an address.
        names: that the file may have there; the first that is there counts.
        revision: branch, tag or commit; None is the main branch.
        address: of a file outside of repositories.
        licence: as the hub says.
    """

    repository: str | None = None
    names: tuple[str, ...] = ()
    revision: str | None = None
    address: str = ""
    licence: str | None = None


def resolve_hub_name(hub: str) -> HubFile:
    """Return what a hub's name stands for: timm:…, open_clip:…, huggingface:….

    RosettaError for a name that the library doesn't know, or has no weights for.
    """
    library, _, name = hub.partition(":")
    if library == "timm":
        return _of_timm(name)
    if library == "open_clip":
        return _of_open_clip(*name.split("/"))
    name, _, revision = name.partition("@")
    owner, repository, file = name.split("/", 2)
    return HubFile(f"{owner}/{repository}", (file,), revision or None)


def _of_timm(name: str) -> HubFile:
    import timm  # takes seconds

    try:
        found = timm.get_pretrained_cfg(name)
    except RuntimeError:  # an architecture without this tag
        found = None
    if found is None or not (found.hf_hub_id or found.url):
        hint = did_you_mean(name, timm.list_models(pretrained=True))
        raise RosettaError(f"timm:{name}: timm has no weights of that name{hint}")
    if not found.hf_hub_id:
        return HubFile(address=str(found.url), licence=found.license)
    repository, _, revision = found.hf_hub_id.partition("@")
    names = (found.hf_hub_filename,) if found.hf_hub_filename else TIMM
    return HubFile(repository, names, revision or None, licence=found.license)


def _of_open_clip(architecture: str, pretrained: str) -> HubFile:
    import open_clip  # takes seconds

    where = f"open_clip:{architecture}/{pretrained}"
    if architecture not in open_clip.list_models():
        hint = did_you_mean(architecture, open_clip.list_models())
        raise RosettaError(f"{where}: open_clip has no model {architecture!r}{hint}")
    found = open_clip.get_pretrained_cfg(architecture, pretrained)
    if not found:
        known = open_clip.list_pretrained_tags_by_model(architecture)
        hint = did_you_mean(pretrained, known) or f"; it has {', '.join(known) or 'none'}"
        raise RosettaError(f"{where}: {architecture} has no weights {pretrained!r}{hint}")
    if not found.get("hf_hub"):
        return HubFile(address=found["url"])
    repository, _, file = found["hf_hub"].rpartition("/")
    safe = file.removesuffix(".bin") + ".safetensors"
    return HubFile(repository, tuple(dict.fromkeys((safe, file))) if file else OPEN_CLIP)


def download_from_repository(wanted: HubFile, part: Path) -> str:
    """Get a file out of a repository of Hugging Face, to `part`; return its address.

    What lies in Hugging Face's own cache is copied. Large files are verified by the checksum that
    the repository lists. The environment counts: HF_ENDPOINT, HF_TOKEN, HF_HOME, HF_HUB_OFFLINE.
    Not `hf_hub_download`: it begins anew when it was stopped.

    Raises:
        UnreachableError: the repository can't be reached, or has no such file.
    """
    import huggingface_hub as hub  # takes a second
    from huggingface_hub.errors import RemoteEntryNotFoundError
    from huggingface_hub.utils import build_hf_headers

    repository, revision = wanted.repository or "", wanted.revision
    addresses = {name: hub.hf_hub_url(repository, name, revision=revision) for name in wanted.names}
    for name, address in addresses.items():
        cached = hub.try_to_load_from_cache(repository, name, revision=revision)
        if isinstance(cached, str):
            shutil.copyfile(cached, part)
            return address
    token = build_hf_headers().get("authorization")
    for name, address in addresses.items():
        try:
            listed = hub.get_hf_file_metadata(address)
        except RemoteEntryNotFoundError:
            continue
        except Exception as error:  # of several libraries
            raise UnreachableError(address, _reason(error)) from error
        pinned = hub.hf_hub_url(repository, name, revision=listed.commit_hash or revision)
        download(pinned, part, authorization=token)
        if CHECKSUM.fullmatch(listed.etag or "") and file_sha256(part) != listed.etag:
            part.unlink()
            raise UnreachableError(address, f"what came hasn't the checksum {listed.etag} there")
        return pinned
    raise UnreachableError(
        next(iter(addresses.values())), f"there is no {' and no '.join(addresses)}"
    )


def _reason(error: Exception) -> str:
    """Why a file can't be had, in one line: the first cause says it shortest."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
