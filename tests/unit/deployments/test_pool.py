"""Runs of container pools start from this project's image, and no others from any."""

import pytest

from deployments.pool import image_fault
from deployments.pool_templates import CHANGES, pool_template, prefect_template

IMAGE = "registry.example.com/retail-sales"


@pytest.mark.parametrize("pool_type", CHANGES)
def test_a_container_pool_needs_an_image(pool_type: str) -> None:
    template = pool_template(pool_type)
    assert image_fault(pool_type, template, IMAGE) is None
    fault = image_fault(pool_type, template, None)
    assert fault == (
        f"work pool retail-sales is of type {pool_type}, and nothing names the image of its runs: "
        "set RETAIL_SALES_IMAGE, like registry.example.com/retail-sales"
    )
    template["variables"]["properties"]["image"]["default"] = IMAGE
    assert image_fault(pool_type, template, None) is None


def test_a_process_pool_has_none() -> None:
    assert image_fault("process", {}, None) is None
    fault = image_fault("process", {}, IMAGE)
    assert fault == (
        "work pool retail-sales is of type process, whose runs start from no image: unset RETAIL_SALES_IMAGE"
    )


def test_pools_of_other_types_are_left_to_their_owners() -> None:
    assert [image_fault("cloud-run-v2", {}, image) for image in (None, IMAGE)] == [None, None]


@pytest.mark.parametrize("pool_type", CHANGES)
def test_so_are_pools_with_prefects_own_template(pool_type: str) -> None:
    assert image_fault(pool_type, prefect_template(pool_type), None) is None
