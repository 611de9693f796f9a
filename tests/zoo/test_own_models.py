"""Models of one's own: the page's examples run, errors are one line, changes are noticed."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from conftest import NO_JOBS, ROOT, tiny
from torch import nn
from torchvision.models import squeezenet1_1

from rosetta_core import open_run
from rosetta_core.config import Config, parse_config
from rosetta_core.errors import RosettaError
from rosetta_core.runs.paths import RunPaths
from rosetta_core.runtime.user_code import fingerprint, load_function
from rosetta_core.stages import triggers
from rosetta_core.stages.registry import STAGES
from rosetta_core.stages.tools.check import check_config
from rosetta_core.stages.tools.mine import mine
from rosetta_core.zoo.loading import layers_of, load
from rosetta_core.zoo.model_info import check_layers, describe
from rosetta_core.zoo.network import Encoder, Generator, Input, LatentSpace

CPU = torch.device("cpu")
PAGE = "".join(
    (ROOT / "docs/how-to" / name).read_text()
    for name in ("own-models.md", "images-from-a-folder.md")
)
CODE = {
    block.split("\n", 1)[0].removeprefix("# "): block
    for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
}
SETTINGS = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)]
HEAD = """
import torch
from torch import nn
from rosetta_core.zoo.network import Encoder, Generator, Input, LatentSpace

SEEN = Input(size=16, mean=[0.5] * 3, std=[0.5] * 3)

def encoder(network, **given):
    return Encoder(network=network, input=SEEN, **given)
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A working directory with the page's files, and what they read."""
    before = list(sys.path), set(sys.modules)
    for name, text in CODE.items():
        (tmp_path / name).write_text(text)
    shutil.copy(ROOT / "tests/small_unet.py", tmp_path / "diffusers.py")
    monkeypatch.chdir(tmp_path)
    yield tmp_path
    sys.path[:] = before[0]
    for name in set(sys.modules) - before[1]:
        file = getattr(sys.modules[name], "__file__", None) or ""
        if file.startswith(str(tmp_path)):
            del sys.modules[name]


def model(target: str, **settings: Any) -> dict[str, Any]:
    return {"name": "own", "family": "python", "target": target, **settings}


def config_of(encoder: dict[str, Any], **changes: Any) -> Config:
    return parse_config(tiny(encoders=[encoder], **{"resources": "resources", **changes}))


def loaded(encoder: dict[str, Any]) -> Encoder | Generator:
    config = config_of(encoder)
    return load(config.encoders[0], RunPaths(config).weights(config.encoders[0]), device=CPU)


def own(text: str, *, name: str = "own.py") -> None:
    Path(name).write_text(HEAD + text)


def test_the_page_has_code_for_all_that_it_configures() -> None:
    targets = re.findall(r"target: (\S+)", PAGE)
    assert len(targets) >= 4
    for target in targets:
        file, _, function = target.partition(":")
        assert f"def {function}(" in CODE[file]


def test_a_network_of_torchvision_with_weights_of_ones_own(folder: Path) -> None:
    torch.manual_seed(5)
    trained = squeezenet1_1(num_classes=10).eval()
    torch.save({"model": trained.state_dict(), "epoch": 3}, "my_squeezenet.pt")
    given = SETTINGS[0]["encoders"][0]
    built = loaded(given)
    found = layers_of(config_of(given).encoders[0], built)
    fires = [name for name, its in trained.named_modules() if type(its).__name__ == "Fire"]
    assert [layer.name for layer in found] == [f"{name}.expand1x1_activation" for name in fires]
    assert not built.network.training
    seen = torch.randn(2, 3, 64, 64)
    with torch.no_grad():
        torch.testing.assert_close(built.network(seen), trained(seen))


def test_a_unet_at_a_fixed_timestep(folder: Path) -> None:
    first, second = SETTINGS[1]["encoders"]
    built = loaded(first)
    layers = [layer.name for layer in layers_of(config_of(first).encoders[0], built)]
    assert layers == [
        "unet.down_blocks.0.resnets.0",
        "unet.down_blocks.1.resnets.0",
        "unet.mid_block.resnets.0",
        "unet.up_blocks.0.resnets.0",
        "unet.up_blocks.1.resnets.0",
    ]
    images = torch.rand(3, 3, 32, 32) * 2 - 1
    maps: dict[str, torch.Tensor] = {}
    with torch.no_grad(), built.capture(layers, receive=maps.__setitem__):
        built.network(images)
    kept = np.cumprod(1 - np.linspace(1e-4, 0.02, 1000))[100]
    noise = torch.randn(1, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    seen = float(np.sqrt(kept)) * images + float(np.sqrt(1 - kept)) * noise
    last: list[torch.Tensor] = []
    unet = built.network.unet
    handle = unet.up_blocks[1].resnets[0].register_forward_hook(lambda *its: last.append(its[2]))
    with torch.no_grad():
        unet(seen, 100)
        handle.remove()
        built_later = loaded(second)
        later: dict[str, torch.Tensor] = {}
        with built_later.capture(layers, receive=later.__setitem__):
            built_later.network(images)
    torch.testing.assert_close(maps[layers[-1]], last[0], atol=1e-5, rtol=1e-5)
    assert (later[layers[-1]] - maps[layers[-1]]).abs().max() > 0.1


def test_outputs_of_any_kind_become_maps(folder: Path) -> None:
    own(
        """
from outputs import to_maps

class Odd(nn.Module):
    def __init__(self):
        super().__init__()
        self.pair, self.named, self.decoder = Pair(), Named(), nn.ModuleList([Tokens()])

    def forward(self, x):
        return self.decoder[0](self.named(self.pair(x)[0])["out"])

class Pair(nn.Module):
    def forward(self, x):
        return x * 2, "attention"

class Named(nn.Module):
    def forward(self, x):
        return {"out": x + 1}

class Tokens(nn.Module):
    def forward(self, x):
        return x.flatten(2).permute(2, 0, 1)  # (t, n, c)

def build():
    return encoder(Odd(), preset=["pair", "named", "decoder.0"], to_maps=to_maps)
"""
    )
    built, seen = loaded(model("own.py:build")), torch.randn(2, 3, 16, 16)
    maps: dict[str, torch.Tensor] = {}
    with built.capture(built.preset, receive=maps.__setitem__):
        built.network(seen)
    wanted = {"pair": 2 * seen, "named": 2 * seen + 1, "decoder.0": 2 * seen + 1}
    for layer, found in maps.items():
        torch.testing.assert_close(found, wanted[layer])
    config = config_of(model("own.py:build"))
    layers = describe(config.encoders[0], folder / "resources", all=True).layers
    assert {layer.name for layer in layers} == set(wanted)


def test_random_weights_are_the_same_every_time(folder: Path) -> None:
    own("def build():\n    return encoder(nn.Conv2d(3, 4, 3), preset=['*'])\n")
    first, second = (loaded(model("own.py:build")).network.weight for _ in range(2))
    other = loaded(model("own.py:build", weights={"random": 1})).network.weight
    assert torch.equal(first, second)
    assert not torch.equal(first, other)


def test_a_target_is_found_in_the_working_directory_and_in_packages(folder: Path) -> None:
    package = folder / "my_own_package" / "deep"
    package.mkdir(parents=True)
    (folder / "my_own_package/__init__.py").write_text("RAN = []\n")
    (package / "parts.py").write_text("CHANNELS = 7\n")
    text = (
        "def build():\n    return encoder(nn.Sequential(nn.Conv2d(3, CHANNELS, 3)), preset=['0'])\n"
    )
    own(f"from .parts import CHANNELS\n{text}", name="my_own_package/deep/nets.py")
    (package / "nets_of_file.py").write_text(HEAD + f"from parts import CHANNELS\n{text}")
    for target in ("my_own_package.deep.nets:build", f"{package}/nets_of_file.py:build"):
        assert loaded(model(target)).network[0].out_channels == 7


def test_the_command_line_finds_it_too(folder: Path) -> None:
    own("def build():\n    return encoder(nn.Sequential(nn.Conv2d(3, 9, 3)), preset=['0'])\n")
    Path("c.yaml").write_text(yaml.safe_dump(tiny(encoders=[model("own:build")])))
    script = Path(sys.executable).parent / "rosetta"  # has no working directory on its path
    command = [str(script), "list-layers", "own", "--config", "c.yaml"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "1 layers, 9 units" in said


@pytest.mark.parametrize(
    ("text", "target", "said"),
    [
        ("", "none.py:f", "no file 'none.py'"),
        ("", "no_such.module:f", "no module 'no_such.module', neither in"),
        ("", "json.decoder.deeper:f", "no module 'json.decoder.deeper'"),
        ("", "sys:f", "no module 'sys'"),
        ("", "own.py:f", "own.py has no function 'f'"),
        ("f = 3", "own.py:f", "own.py has no function 'f'"),
        ("def f(:", "own.py:f", "SyntaxError: invalid syntax (own.py, line 10)"),
        ("import no_such_module", "own.py:f", "ModuleNotFoundError: No module named 'no_such"),
        ("def f():\n    raise OSError('a\\nb')", "own.py:f", "OSError: a b (own.py, line 11)"),
        ("def f():\n    raise SystemExit(3)", "own.py:f", "SystemExit: 3"),
        ("def f(depth):\n    pass", "own.py:f", "TypeError: f() missing 1 required positional"),
        ("def f():\n    return nn.ReLU()", "own.py:f", "returns a ReLU; return a Generator or"),
        ("def f():\n    return encoder(3)", "own.py:f", "network is a int; give a torch.nn.Module"),
        ("def f():\n    return encoder(nn.ReLU(), preset='*')", "own.py:f", "preset is '*'"),
        (
            "def f():\n    return encoder(nn.Linear(5, 5), preset=['*'])",
            "own.py:f",
            "RuntimeError: mat1 and mat2 shapes cannot be multiplied",
        ),
        (
            "def f():\n    return Generator(network=nn.ReLU(), latent_size=3)",
            "own.py:f",
            "TypeError: a generator returns shape (1, 3); return images",
        ),
        (
            "def f():\n    one = torch.zeros\n"
            "    return Generator(network=nn.ReLU(), latent_size=3, sample_latent=one)",
            "own.py:f",
            "latents have shape (0,), but latent_size is 3",
        ),
        (
            "def f():\n    net = nn.Linear(3, 3)\n"
            "    w = LatentSpace(lambda z, _: net(z), lambda w, _: w)\n"
            "    return Generator(network=net, latent_size=3, latent_spaces={'w': w})",
            "own.py:f",
            "latent space 'w': a function refers to a network outside of it",
        ),
    ],
)
def test_what_is_wrong_is_one_line_that_names_the_target(
    folder: Path, text: str, target: str, said: str
) -> None:
    own(text)
    with pytest.raises(RosettaError) as caught:
        describe(config_of(model(target)).encoders[0], folder / "resources")
    assert str(caught.value).startswith(f"target {target!r}: {said}")
    assert "\n" not in str(caught.value)
    ours = caught.value.__cause__
    assert (ours is not None) == bool(re.match(r"\w+(Error|Exit): ", said))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("encoder(torch.jit.script(Net()), preset=['0'])", "own: is a TorchScript module, whose"),
        ("encoder(Net(), preset=['act'])", "own: module 'drop' stays in training mode after eval"),
        (
            "encoder(nn.Sequential(nn.Conv2d(3, 4, 2, 2), nn.Flatten(2), nn.Conv1d(4, 4, 1)),"
            " preset=['2'], hints={'2': Hint(grid=(4, 16))})",
            "own: layer '2': output (1, 4, 64), read as tokens_last with maps of 4×16, does not "
            "follow the image; set grid: [8, 8]",
        ),
        (
            "encoder(nn.Sequential(nn.Conv2d(3, 4, 2, 2), Wide()), preset=['1'])",
            "own: the network fails on an image of random pixels (ValueError: dark); correct",
        ),
    ],
)
def test_what_is_wrong_with_an_encoder_is_refused_by_the_check(
    folder: Path, text: str, said: str
) -> None:
    own(
        f"""
from rosetta_core.zoo.layers import Hint

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop, self.act = nn.Conv2d(3, 4, 2, 2), nn.Dropout(0.5), nn.ReLU()

    def forward(self, x):
        return self.act(self.drop(self.conv(x)))

    def train(self, mode: bool = True):
        pass

class Wide(nn.Module):
    def forward(self, x):
        if x.std() > 0.4:
            raise ValueError("dark")
        return x

def f():
    return {text}
"""
    )
    with pytest.raises(RosettaError) as caught:
        check_config(config_of(model("own.py:f")))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_train_method_that_returns_nothing_does_no_harm(folder: Path) -> None:
    own(
        """
class Net(nn.Sequential):
    def train(self, mode=True):
        super().train(mode)

def f():
    return encoder(Net(nn.Conv2d(3, 4, 3), nn.Dropout(0.5)), preset=['*'])
"""
    )
    assert not loaded(model("own.py:f")).network[1].training


def test_keys_of_the_configuration_set_layouts_of_layers(folder: Path) -> None:
    own(
        """
def f():
    layers = nn.Conv2d(3, 4, (1, 4), (1, 4)), nn.Flatten(2), nn.Conv1d(4, 4, 1)
    return encoder(nn.Sequential(*layers), preset=['0', '2'])
"""
    )
    resources = folder / "resources"
    with pytest.raises(RosettaError, match=r"layer '2': .* set grid: \[16, 4\]"):
        check_layers(config_of(model("own.py:f")).encoders[0], resources)
    layouts = {"2": {"layout": "tokens_last", "grid": [16, 4]}}
    given = config_of(model("own.py:f", layouts=layouts)).encoders[0]
    assert check_layers(given, resources) == {"0": "follows", "2": "follows"}
    assert [layer.grid for layer in describe(given, resources).layers] == [(16, 4), (16, 4)]
    with pytest.raises(RosettaError, match=r"layer '2': output .* has 64 tokens, not 3×5"):
        describe(config_of(model("own.py:f", layers=["2"], grid=[3, 5])).encoders[0], resources)
    with pytest.raises(RosettaError, match=r"grid: \[3\] is not a grid; give \[height, width\]"):
        config_of(model("own.py:f", grid=[3]))
    with pytest.raises(RosettaError, match="own: layers: 'none' matches no module"):
        describe(config_of(model("own.py:f", float32_layers=["none"])).encoders[0], resources)


def test_a_layer_that_is_no_map_and_a_missing_preset_are_one_line(folder: Path) -> None:
    own("def f(**given):\n    return encoder(nn.Sequential(nn.Conv2d(3, 4, 3)), **given)\n")
    with pytest.raises(RosettaError, match="own: layers is missing, because the family has no"):
        describe(config_of(model("own.py:f")).encoders[0], folder / "resources")
    own(
        "def f():\n    to_maps = lambda layer, output: output + None\n"
        "    return encoder(nn.Sequential(nn.Conv2d(3, 4, 3)), preset=['0'], to_maps=to_maps)\n"
    )
    with pytest.raises(RosettaError, match="own: layer '0': to_maps raised TypeError"):
        describe(config_of(model("own.py:f")).encoders[0], folder / "resources")


def test_truncation_and_input_are_for_those_that_take_them(folder: Path) -> None:
    pivot = {"name": "drawer", "family": "python", "target": "my_generator.py:build"}
    encoders = tiny()["encoders"]
    halved = {"sampling": {"truncation": 0.5}, "steering": NO_JOBS}
    config = parse_config(tiny(encoders=encoders, **halved) | {"pivot": pivot})
    built = load(config.pivot, None, device=CPU, truncation=0.5)
    whole = load(config.pivot, None, device=CPU)
    z = torch.randn(2, built.latent_size)
    near, far = (its.latent_space("w").from_z(z, None) for its in (built, whole))
    torch.testing.assert_close(near, far / 2)
    assert config_of_pivot(pivot, truncation=1.0).pivot == config.pivot
    settings = [
        triggers.settings(STAGES["sample"], run, shard="00000")
        for run in (config, config_of_pivot(pivot, truncation=1.0))
    ]
    assert settings[0] != settings[1]

    Path("plain.py").write_text(
        "import my_generator\n\ndef build():\n    return my_generator.build()\n"
    )
    pivot["target"] = "plain.py:build"
    with pytest.raises(
        RosettaError, match=r"0\.5 was given, but the target of drawer does not accept truncation"
    ):
        check_config(config_of_pivot(pivot, truncation=0.5))
    seen = Input(size=16, mean=[0.5] * 3, std=[0.5] * 3).model_dump(mode="json")
    with pytest.raises(RosettaError, match="drawer: input is given, but the model is a generator"):
        check_config(config_of_pivot({**pivot, "input": seen}, truncation=1.0))
    pivot |= {"target": "my_generator.py:build", "arguments": {"truncation": 0.5}}
    with pytest.raises(RosettaError, match=r"'truncation' is set by sampling\.truncation"):
        check_config(config_of_pivot(pivot, truncation=1.0))


def config_of_pivot(pivot: dict[str, Any], *, truncation: float) -> Config:
    content = tiny(sampling={"truncation": truncation}, steering=NO_JOBS, resources="resources")
    return parse_config(content | {"pivot": pivot})


def test_a_fingerprint_follows_the_file_and_what_it_imports_from_beside_it(folder: Path) -> None:
    package = folder / "watched"
    package.mkdir()
    files = {
        "watched/__init__.py": "A = 1\n",
        "watched/nets.py": "import json\nfrom .parts import B\nimport beside\n\ndef f(): pass\n",
        "watched/parts.py": "B = 1\n",
        "watched/other.py": "C = 1\n",
        "beside.py": "D = 1\n",
    }
    for name, text in files.items():
        (folder / name).write_text(text)
    module = "watched.nets:f"

    def changes(file: str, text: str, place: str) -> bool:
        before = fingerprint(place, key="target")
        old = (folder / file).read_text()
        (folder / file).write_text(text)
        after = fingerprint(place, key="target")
        (folder / file).write_text(old)
        return before != after

    for file, text in files.items():
        watched = file != "watched/other.py"
        assert changes(file, text + "E = 2\n", module) == watched, file
        assert not changes(file, f'"""About it."""\n# why\n{text}', module), file
    assert changes("watched/nets.py", "def f(): return 1\n", "watched/nets.py:f")
    assert not changes("beside.py", "D = 2\n", "watched/nets.py:f")  # not beside this file
    assert "watched" not in sys.modules


def test_jobs_run_again_when_its_code_changes_and_only_those_that_run_it(folder: Path) -> None:
    own("def build():\n    return encoder(nn.Sequential(nn.Conv2d(3, 9, 3)), preset=['0'])\n")
    others = [*tiny()["encoders"], model("own.py:build")]
    config = parse_config(tiny(encoders=others, resources="resources"))
    live = parse_config(tiny(encoders=others, activations={"store": "none"}))

    def fingerprints() -> dict[str, str]:
        return {
            "own": triggers.code(STAGES["activations"], config, model="own"),
            "live": triggers.code(STAGES["unit_examples"], live, model="own"),
            "together": triggers.code(STAGES["correlations"], live),
            "other": triggers.code(STAGES["activations"], config, model="mobilenet_v2"),
            "sample": triggers.code(STAGES["sample"], config),
            "stored": triggers.code(STAGES["correlations"], config),
        }

    before, units = fingerprints(), describe(config.encoders[-1], folder / "resources").layers
    own("def build():\n    return encoder(nn.Sequential(nn.Conv2d(3, 8, 3)), preset=['0'])\n")
    after = fingerprints()
    changed = {name for name, value in after.items() if value != before[name]}
    assert changed == {"own", "live", "together"}
    assert [layer.channels for layer in units] == [9]
    later = describe(config.encoders[-1], folder / "resources").layers
    assert [layer.channels for layer in later] == [8]


def test_a_file_that_changed_within_a_second_and_kept_its_size_is_run_as_it_stands(
    folder: Path,
) -> None:
    for answer in (8, 9):
        own(f"def build():\n    return {answer}\n")
        os.utime(folder / "own.py", (1_700_000_000, 1_700_000_000))
        assert load_function("own.py:build", key="target")() == answer


def test_it_runs_without_torch_where_nothing_is_built(folder: Path) -> None:
    own("def build():\n    return encoder(nn.Sequential(nn.Conv2d(3, 9, 3)), preset=['0'])\n")
    Path("c.yaml").write_text(yaml.safe_dump(tiny(encoders=[model("own:build")])))
    subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys\n"
            "from pathlib import Path\n"
            "from rosetta_core.stages import triggers\n"
            "from rosetta_core.stages.registry import STAGES\n"
            "from rosetta_core.config import load_config\n"
            "import rosetta_core.zoo.model_info\n"
            "triggers.code(STAGES['activations'], load_config(Path('c.yaml')), model='own')\n"
            "assert 'torch' not in sys.modules and 'own' not in sys.modules",
        ],
        check=True,
    )


@pytest.mark.whole_run
def test_a_whole_run_with_a_generator_of_ones_own_and_its_steering(
    folder: Path, weights: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = SETTINGS[2]
    jobs = settings["steering"]
    few = {"steps": 3, "restarts": 2}
    jobs["invert"][0] |= few
    jobs["tune"][0] |= {"steps": 2}
    jobs["edit"][0] |= few
    jobs |= {
        "perceptual": {
            "loss": {"encoder": "mobilenet_v2", "size": 32, "layers": ["features.3.conv.1.2"]},
            "evaluation": {"encoder": "mobilenet_v2", "size": 32},
        },
    }
    encoders = [one for one in tiny()["encoders"] if one["name"] != "efficientnet_lite0"]
    content = tiny(encoders=encoders, steering=jobs) | {"pivot": settings["pivot"]}
    content["sampling"] |= settings["sampling"]
    config = parse_config(content)
    torch.manual_seed(2)
    trained = load_function("my_generator.py:build", key="target")(width=16).network
    torch.save(trained.state_dict(), "my_generator.pt")
    pages = mine(config)
    assert (pages / "index.html").is_file()
    units = pd.read_parquet(RunPaths(config).units("my_generator"))
    assert units["layer"].unique().tolist() == ["blocks.0", "blocks.1", "blocks.2"]
    assert len(units) == 48
    inverted = RunPaths(config).job(config.steering.job("astronaut"))
    latents = np.load(inverted / "latents.npz")
    assert any(latents[name].shape[-1] == 32 for name in latents.files)
    for job in ("astronaut", "tuned", "shifted"):
        assert (RunPaths(config).job(config.steering.job(job)) / "result.png").is_file()
    tuned = RunPaths(config).job(config.steering.job("tuned")) / "generator.safetensors"
    assert tuned.is_file()
    monkeypatch.chdir("/")  # a run finds its code and weights from anywhere
    moved = open_run(folder / "results/tiny").config.pivot
    assert moved.target == f"{folder}/my_generator.py:build"
    assert isinstance(load(moved, Path(moved.weights.file), device=CPU), Generator)


def test_what_a_user_returns_has_defaults() -> None:
    network = nn.Conv2d(3, 3, 1)
    seen = Input(size=8, mean=[0.5] * 3, std=[0.5] * 3)
    assert Encoder(network=network, input=seen).preset == ()
    generator = Generator(network=network, latent_size=3)
    assert generator.learning_rate == 0.05
    assert generator.sample_latents([1, 2]).shape == (2, 3)
    assert LatentSpace(from_z=lambda z, _: z, generate=lambda z, _: z).from_z(seen, None) is seen


def test_the_check_covers_generators_and_says_which_layers_have_no_places(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    text = """
class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Linear(4, 6 * 64), nn.Identity()
        self.paint = nn.ConvTranspose2d(6, 3, 4, 4)

    def forward(self, z):
        maps = self.last(self.first(z).unflatten(1, (8, 8, 6)))
        return self.paint(maps.permute(0, 3, 1, 2)).tanh()

def f():
    return Generator(network=Net(), latent_size=4, preset=['first', 'last'])
"""
    own(text)
    sampling = {"images": 3, "shard_size": 3}
    others: dict[str, Any] = {"dictionary": {"examples": 2}, "sampling": sampling}

    def config(**keys: Any) -> Config:
        content = tiny(resources="resources", **others, neighbours={"k": 2})
        content["pivot"] = model("own.py:f", **keys)
        content["encoders"] = [content["encoders"][2] | {"weights": "random"}]
        content["steering"] = {}
        return parse_config(content)

    with pytest.raises(RosettaError) as caught:
        check_config(config())
    assert str(caught.value) == (
        "own: layer 'last': output (1, 8, 8, 6), read as nchw with maps of 8×6, does not follow "
        "the image; set layout: nhwc"
    )
    check_config(config(layouts={"last": {"layout": "nhwc"}}))
    (line,) = [r.getMessage() for r in caplog.records if "own: not spatial" in r.getMessage()]
    assert line.startswith("own: not spatial: first (1 of 2 layers) have one position; only their")
