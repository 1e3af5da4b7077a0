"""Registration of ops whose own cost on the host counts.

`torch.library.custom_op` wraps each call in several layers of Python, a multiple of what a small
kernel takes. `register` defines the same kind of operator without them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

LIBRARY = torch.library.Library("pcmamba", "FRAGMENT")


def register(
    name: str, function: Callable[..., Any], fake: Callable[..., Any], schema: str | None = None
) -> Any:
    """Define the op `pcmamba::<name>`, which neither changes nor returns its arguments.

    Args:
        name: Name of the op.
        function: Computes it on every device; its annotations are the op's schema.
        fake: Makes outputs of the right shape and dtype from tensors without data.
        schema: Given where an annotation has no meaning to torch, such as a list of names.

    Returns:
        The op, to be called.
    """
    schema = schema or torch.library.infer_schema(function, mutates_args=())
    LIBRARY.define(name + schema, tags=(torch.Tag.pt2_compliant_tag,))
    LIBRARY.impl(name, function, "CompositeExplicitAutograd")
    torch.library.register_fake(f"pcmamba::{name}", fake, lib=LIBRARY)
    return getattr(torch.ops.pcmamba, name).default
