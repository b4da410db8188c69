"""A device to test with where there is none: tensors that compute on the CPU but are not there.

Within `OtherDevice()`, tensors made on `OTHER` say that they are on torch's device "meta" and carry
numbers all the same. Like those of a GPU they refuse to meet tensors of the CPU, but in copies and
as their indices. Whatever reads them (`.item()`, `bool()`, `.cpu()`, ...) is counted, for on a GPU
it would wait for the device.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode
from torch.utils._foreach_utils import _get_fused_kernels_supported_devices
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

OTHER = torch.device("meta")
_aten = torch.ops.aten
_COPIES = {_aten.copy_.default}
_INDEXING = {_aten.index.Tensor, _aten.index_put_.default, _aten._index_put_impl_.default}
_AUTOCASTS = torch.is_autocast_enabled
FUSED_ON = "torch.optim.optimizer._get_fused_kernels_supported_devices"
_READS = {_aten._local_scalar_dense.default, _aten.equal.default, _aten.nonzero.default}


class _There(Tensor):
    """A tensor of the other device; `here` holds its numbers."""

    here: Tensor

    @staticmethod
    def __new__(cls, here: Tensor) -> _There:
        new = Tensor._make_wrapper_subclass(
            cls, here.size(), strides=here.stride(), dtype=here.dtype, device=OTHER
        )
        new.here = here
        return new

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        raise RuntimeError(f"{func}: used outside `OtherDevice()`")


class _FromData(TorchFunctionMode):
    """Lets tensors of Python's numbers take the way over the CPU; on "meta" they would be lost."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if func in (torch.tensor, torch.as_tensor) and kwargs.get("device") is not None:
            target = torch.device(kwargs.pop("device"))
            return func(*args, **kwargs, device="cpu").to(target)
        if func is Tensor.tolist and isinstance(args[0], _There):
            return args[0].cpu().tolist()
        return func(*args, **kwargs)


class OtherDevice(TorchDispatchMode):
    """Counts in `reads` how often numbers of the other device were read."""

    def __init__(self) -> None:
        super().__init__()
        self.reads = 0
        self._others = ExitStack()

    def __enter__(self) -> OtherDevice:
        fused = [*_get_fused_kernels_supported_devices(), OTHER.type]
        self._others.enter_context(_FromData())
        self._others.enter_context(patch(FUSED_ON, lambda: fused))
        self._others.enter_context(patch("torch.is_autocast_enabled", _autocasts))
        return super().__enter__()

    def __exit__(self, *error: Any) -> None:
        super().__exit__(*error)
        self._others.close()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, Tensor)]
        there = any(isinstance(x, _There) for x in tensors)
        target = kwargs.get("device")
        if target is not None:
            kwargs["device"] = torch.device("cpu")
        if func is _aten._to_copy.default and target is not None:
            self.reads += there and torch.device(target) != OTHER
            arrives = torch.device(target) == OTHER
        else:
            strangers = [x for x in tensors if there and not isinstance(x, _There) and x.dim()]
            # A GPU's tensors may be copied from and to the CPU, and take indices from there.
            may_meet = func in _COPIES or (func in _INDEXING and isinstance(args[0], _There))
            if strangers and not may_meet:
                raise RuntimeError(f"{func}: a tensor of the CPU meets one of the other device")
            arrives = there if target is None else torch.device(target) == OTHER
        self.reads += there and func in _READS
        result = func(*tree_map(_here, args), **tree_map(_here, kwargs))
        return tree_map(lambda x: _back(x, tensors, arrives), result)


def _autocasts(kind: str) -> bool:
    """Whether autocast is on, of which "meta" knows nothing."""
    return kind != OTHER.type and _AUTOCASTS(kind)


def _here(x: Any) -> Any:
    return x.here if isinstance(x, _There) else x


def _back(x: Any, arguments: list[Tensor], arrives: bool) -> Any:
    """Wrap a result; one that was written in place is the argument that it was."""
    if not isinstance(x, Tensor):
        return x
    for argument in arguments:
        if _here(argument) is x:
            return argument
    return _There(x) if arrives else x
