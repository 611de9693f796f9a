"""Names of weights on hubs and in libraries, and downloads from Hugging Face repositories."""

import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from rosetta_core.errors import RosettaError, did_you_mean
from rosetta_core.io.atomic import atomic_path, file_sha256
from rosetta_core.zoo.weights.download import UnreachableError, download

__all__ = ["HubFile", "download_from_repository", "repository_file", "resolve_hub_name"]

# names of files in the repositories of each hub; the format that cannot carry code comes first
TIMM = ("model.safetensors", "pytorch_model.bin")
OPEN_CLIP = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin")
TRANSFORMERS = ("model.safetensors", "model.safetensors.index.json")

MAX_SMALL_FILE = 2**24  # bytes
CHECKSUM = re.compile("[0-9a-f]{64}")  # ETag of a large file; other files have other ETags


class NoSuchFileError(UnreachableError):
    """A repository does not have a file."""


@dataclass(frozen=True)
class HubFile:
    """A file in a Hugging Face repository, or at an address.

    Attributes:
        repository: OWNER/NAME; None for a file at an address.
        names: possible names of the file in the repository, in order of preference.
        revision: branch, tag or commit; None for the main branch.
        address: address of a file outside repositories.
        licence: licence that the hub states.
    """

    repository: str | None = None
    names: tuple[str, ...] = ()
    revision: str | None = None
    address: str = ""
    licence: str | None = None


def resolve_hub_name(hub: str) -> HubFile:
    """Return the file of a hub's name: a library and a model, or a file of Hugging Face.

    Raises:
        RosettaError: the library does not have the model, or has no weights of it.
    """
    library, _, name = hub.partition(":")
    if library == "timm":
        return _timm_file(name)
    if library == "torchvision":
        return _torchvision_file(*name.split("/"))
    if library == "open_clip":
        return _open_clip_file(*name.split("/"))
    name, _, revision = name.partition("@")
    if library == "transformers":
        return HubFile(name, TRANSFORMERS, revision or None)
    owner, repository, file = name.split("/", 2)
    return HubFile(f"{owner}/{repository}", (file,), revision or None)


def _timm_file(name: str) -> HubFile:
    import timm  # takes seconds

    try:
        config = timm.get_pretrained_cfg(name)
    except RuntimeError:  # an architecture without this tag
        config = None
    if config is None or not (config.hf_hub_id or config.url):
        hint = did_you_mean(name, timm.list_models(pretrained=True))
        raise RosettaError(
            f"timm:{name}: timm has no weights with this name{hint}; see timm.list_pretrained()"
        )
    if not config.hf_hub_id:
        return HubFile(address=str(config.url), licence=config.license)
    repository, _, revision = config.hf_hub_id.partition("@")
    names = (config.hf_hub_filename,) if config.hf_hub_filename else TIMM
    return HubFile(repository, names, revision or None, licence=config.license)


def _torchvision_file(architecture: str, name: str = "DEFAULT") -> HubFile:
    from torchvision import models  # takes seconds

    known = models.list_models(module=models)
    if architecture not in known:
        hint = did_you_mean(architecture, known)
        raise RosettaError(
            f"torchvision:{architecture}: torchvision has no model {architecture!r}{hint}; see "
            "models.list_models()"
        )
    weights = models.get_model_weights(architecture)
    if name not in weights.__members__:
        hint = did_you_mean(name, weights.__members__) or (
            f"; choose from {', '.join(weights.__members__)}"
        )
        raise RosettaError(
            f"torchvision:{architecture}/{name}: {architecture} has no weights {name!r}{hint}"
        )
    return HubFile(address=weights[name].url)


def _open_clip_file(architecture: str, pretrained: str) -> HubFile:
    import open_clip  # takes seconds

    where = f"open_clip:{architecture}/{pretrained}"
    if architecture not in open_clip.list_models():
        hint = did_you_mean(architecture, open_clip.list_models())
        raise RosettaError(
            f"{where}: open_clip has no model {architecture!r}{hint}; see open_clip.list_models()"
        )
    config = open_clip.get_pretrained_cfg(architecture, pretrained)
    if not config:
        known = open_clip.list_pretrained_tags_by_model(architecture)
        hint = did_you_mean(pretrained, known) or f"; choose from {', '.join(known) or 'none'}"
        raise RosettaError(f"{where}: {architecture} has no weights {pretrained!r}{hint}")
    if not config.get("hf_hub"):
        return HubFile(address=config["url"])
    repository, _, file = config["hf_hub"].rpartition("/")
    safe = file.removesuffix(".bin") + ".safetensors"
    return HubFile(repository, tuple(dict.fromkeys((safe, file))) if file else OPEN_CLIP)


def download_from_repository(wanted: HubFile, part: Path, *, max_bytes: int) -> str:
    """Download a file from a Hugging Face repository; return its address.

    Files in Hugging Face's cache are copied. Large files are verified with the checksum that the
    repository lists. HF_ENDPOINT, HF_TOKEN, HF_HOME and HF_HUB_OFFLINE are respected.
    `hf_hub_download` is not used, because it does not resume interrupted downloads.

    Args:
        wanted: the file.
        part: file to write.
        max_bytes: largest size of the file.

    Raises:
        NoSuchFileError: the repository has no such file.
        UnreachableError: the repository cannot be reached.
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
        if listed.size and listed.size > max_bytes:
            limit = f"{max_bytes / 2**30:.4g} GiB"
            reason = f"it has more than {limit}; raise max_size of the weights"
            raise UnreachableError(address, reason)
        download(
            pinned, part, authorization=token, max_bytes=max_bytes, expected=listed.size or None
        )
        if CHECKSUM.fullmatch(listed.etag or "") and file_sha256(part) != listed.etag:
            part.unlink()
            raise UnreachableError(
                address, f"the download does not have the listed checksum {listed.etag}"
            )
        return pinned
    raise NoSuchFileError(
        next(iter(addresses.values())), f"the repository has no {' or '.join(addresses)}"
    )


def repository_file(repository: str, name: str, *, revision: str | None) -> Path | None:
    """Return a small file of a Hugging Face repository, in a folder of Hugging Face's cache.

    A file in the cache is used without asking the hub.

    Args:
        repository: OWNER/NAME.
        name: name of the file in the repository.
        revision: branch, tag or commit; None for the main branch.

    Returns:
        The path; None if the repository has no such file. A file has at most 16 MiB.

    Raises:
        RosettaError: the repository cannot be reached.
    """
    import huggingface_hub as hub  # takes a second

    cached = hub.try_to_load_from_cache(repository, name, revision=revision)
    if isinstance(cached, str):
        return Path(cached)
    if cached is not None:  # known to be absent
        return None
    cache = Path(hub.constants.HF_HUB_CACHE) / "rosetta" / repository.replace("/", "--")
    file = cache / (revision or "main") / name
    if file.is_file():
        return file
    at = f"@{revision}" if revision else ""
    try:
        with atomic_path(file) as part:
            wanted = HubFile(repository, (name,), revision)
            download_from_repository(wanted, part, max_bytes=MAX_SMALL_FILE)
    except NoSuchFileError:
        return None
    except (UnreachableError, OSError) as error:
        raise RosettaError(
            f"{repository}{at}: {name} cannot be fetched from the Hugging Face hub "
            f"({_reason(error)}); check the name and the connection, or give a folder with the "
            "model's files"
        ) from error
    return file


def _reason(error: Exception) -> str:
    """Return the reason of a failed download in one line, from the first cause."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    lines = [line for line in str(error).splitlines() if line.strip()]
    return lines[0].strip().rstrip(".") if lines else type(error).__name__
