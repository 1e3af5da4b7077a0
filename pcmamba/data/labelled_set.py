"""What loaders, training and evaluation take: any labelled set, whatever its recordings are.

A set has `domain` and `unit` in words, `labels`, `class_names`, `ids`, `name`, `split`,
`synthetic`, `notes`, and three methods: `batch(index)`, `take(index)` and `to(device)`.
"""

from __future__ import annotations

from typing import TypeAlias

from pcmamba.data.event_set import EventSet
from pcmamba.data.lazy_event_set import LazyEventSet
from pcmamba.data.structures import CloudSet

LabelledSet: TypeAlias = CloudSet | EventSet | LazyEventSet
