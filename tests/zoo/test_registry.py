"""Every family is recorded once, and its record agrees with its module."""

import inspect
from typing import get_args

import pytest

from rosetta_core.zoo.model_spec import EncoderSpec, ModelSpec
from rosetta_core.zoo.registry import FAMILIES, EncoderFamily, Family, GeneratorFamily

RECORDS = list(FAMILIES.values())


def test_the_names_in_a_configuration_are_those_of_the_records() -> None:
    by_kind = {"generator": get_args(GeneratorFamily), "encoder": get_args(EncoderFamily)}
    for kind, names in {**by_kind, "user": ("python",)}.items():
        assert {family.name for family in RECORDS if family.kind == kind} == set(names)
    specified = set(get_args(ModelSpec.model_fields["family"].annotation))
    assert specified == set(FAMILIES)
    encoders = set(get_args(EncoderSpec.model_fields["family"].annotation))
    assert encoders == {family.name for family in RECORDS if family.kind != "generator"}


@pytest.mark.parametrize("family", RECORDS, ids=lambda family: family.name)
def test_a_module_defines_what_its_record_states(family: Family) -> None:
    module = family.module()
    takes = inspect.signature(module.build).parameters
    assert ("truncation" in takes) == (family.kind != "encoder")
    assert hasattr(module, "arguments_of") == family.pickled
    assert hasattr(module, "ARCHITECTURES") == (family.selected_by == "either")
