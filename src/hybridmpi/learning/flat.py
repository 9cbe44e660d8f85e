"""Models as flat vectors: all parameters of a model, and behind them its buffers, in one vector."""

import json
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Self

import torch
from torch import Tensor, nn

from hybridmpi.errors import RunFailed, UserError
from hybridmpi.learning.known_modules import may_change_parameters
from hybridmpi.learning.settings import keep_torch_settings, torch_settings_kept


@dataclass(frozen=True)
class LayoutEntry:
    """One tensor of a model, and where it lies in the flat vector."""

    name: str
    shape: tuple[int, ...]
    offset: int  # in elements
    dtype: str  # in the model: "float32" or, for buffers, also integers such as "int64"
    is_parameter: bool
    is_channels_last: bool = False  # four dimensions, whose second varies fastest in the vector

    def view(self, vector: Tensor) -> Tensor:
        """Return this tensor's part of a flat vector, without a copy."""
        return self.shaped(vector[self.offset : self.offset + math.prod(self.shape)])

    def shaped(self, piece: Tensor) -> Tensor:
        """Return the elements of this tensor, in the vector's order, in its shape; no copy."""
        if not self.is_channels_last:
            return piece.view(self.shape)
        outer, channels, height, width = self.shape
        return piece.view(outer, height, width, channels).permute(0, 3, 1, 2)


@dataclass(frozen=True)
class Layout:
    """Where each tensor of a model lies in a flat float32 vector of `size` elements.

    The parameters come first, in the order of `model.named_parameters()`; shared (tied) ones
    appear once, frozen ones (`requires_grad=False`) not at all. Behind them lie the persistent
    buffers in the order of `model.named_buffers()`, integers as float32: these are exact up to
    2**24. Weights that the model keeps in channels-last order lie so in the vector, too: a copy
    into another order would cost what that order gains.
    """

    entries: tuple[LayoutEntry, ...]
    num_parameters: int  # elements of the first part
    size: int  # elements of both parts

    @classmethod
    def of(cls, model: nn.Module) -> Self:
        """Lay out a model's parameters and persistent buffers.

        Raises:
            UserError: If a tensor is complex.
        """
        entries: list[LayoutEntry] = []
        offset = 0
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                entries.append(_entry(name, parameter, offset, is_parameter=True))
                offset += parameter.numel()
        num_parameters = offset
        for name, buffer, _, _ in persistent_buffers(model):
            entries.append(_entry(name, buffer, offset, is_parameter=False))
            offset += buffer.numel()
        return cls(tuple(entries), num_parameters, offset)

    @cached_property
    def parameters(self) -> tuple[LayoutEntry, ...]:
        """The entries of the first part."""
        return tuple(entry for entry in self.entries if entry.is_parameter)

    @cached_property
    def buffers(self) -> tuple[LayoutEntry, ...]:
        """The entries of the second part."""
        return tuple(entry for entry in self.entries if not entry.is_parameter)

    @cached_property
    def _lengths(self) -> list[int]:
        return [math.prod(entry.shape) for entry in self.entries]

    def split(self, vector: Tensor) -> list[Tensor]:
        """Return all tensors, in the order of `entries`, as views of `vector`, shape [size].

        One cut into pieces takes a third of the time of a view for each entry.
        """
        pieces = vector.split_with_sizes(self._lengths)
        return [entry.shaped(piece) for piece, entry in zip(pieces, self.entries, strict=True)]

    def views(self, vector: Tensor) -> dict[str, Tensor]:
        """Return each tensor by its name as a view of `vector`, shape [size]."""
        names = [entry.name for entry in self.entries]
        return dict(zip(names, self.split(vector), strict=True))

    def to_json(self) -> str:
        """Write the layout as a JSON object with num_parameters, size and a list of entries."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        fields = json.loads(text)
        entries = (
            LayoutEntry(**{**entry, "shape": tuple(entry["shape"])}) for entry in fields["entries"]
        )
        return cls(tuple(entries), fields["num_parameters"], fields["size"])


def _entry(name: str, tensor: Tensor, offset: int, *, is_parameter: bool) -> LayoutEntry:
    if tensor.is_complex():
        raise UserError(
            f"the model's '{name}' is {tensor.dtype}, but parameters and buffers must be real; "
            "keep the real and the imaginary part as two tensors"
        )
    dtype = torch.float32 if tensor.is_floating_point() else tensor.dtype
    return LayoutEntry(
        name,
        tuple(tensor.shape),
        offset,
        str(dtype).removeprefix("torch."),
        is_parameter,
        is_channels_last=_is_channels_last(tensor),
    )


def _is_channels_last(tensor: Tensor) -> bool:
    # By the strides: of sides of length 1, `is_contiguous` says that they are in either order, but
    # kernels are chosen by what they look like.
    if tensor.dim() != 4:
        return False
    _, channels, height, width = tensor.shape
    return tensor.stride() == (height * width * channels, 1, width * channels, channels)


def persistent_buffers(model: nn.Module) -> Iterator[tuple[str, Tensor, nn.Module, str]]:
    """Yield name, buffer, owning module and the name there; shared buffers once."""
    for name, buffer in model.named_buffers():
        path, _, key = name.rpartition(".")
        module = model.get_submodule(path)
        if key not in module._non_persistent_buffers_set:
            yield name, buffer, module, key


@torch.no_grad()
def flatten(model: nn.Module) -> Tensor:
    """Copy a model's parameters and buffers into a new vector, shape [size]."""
    layout = Layout.of(model)
    vector = torch.empty(layout.size)
    tensors = dict(model.named_parameters()) | dict(model.named_buffers())
    for name, view in layout.views(vector).items():
        view.copy_(tensors[name])
    return vector


def state_dict(layout: Layout, vector: Tensor) -> dict[str, Tensor]:
    """Copy a vector's tensors into what the model's `load_state_dict` takes.

    Tensors have the dtype that they have in the model. Shared parameters appear under their first
    name only: `load_state_dict` needs `strict=False` for those.
    """
    return {entry.name: _restored(entry.view(vector), entry.dtype) for entry in layout.entries}


def _restored(view: Tensor, dtype_name: str) -> Tensor:
    dtype: torch.dtype = getattr(torch, dtype_name)
    return view.clone() if dtype.is_floating_point else view.round().to(dtype)


CHANGED_FROZEN = (
    "changes its frozen parameter '{name}' in its forward pass, which no other worker would see; "
    "change it when the model is made, let it be trained, or make it a buffer"
)


def is_frozen(parameter: nn.Parameter) -> bool:
    """Say whether a parameter stays as the model was made with it."""
    return not parameter.requires_grad


class FlatModel:
    """A model that computes on flat vectors: with these parameters, into that gradient.

    The parameter vector is never written: it may be shared by many workers, or read-only. A model
    that may change its parameters in a forward pass gets a copy of them each time, so that the
    change is its own, until the next `load`; any other computes on the vector itself, and so does
    every model where the caller says that the vector may be written. Parameters
    and gradients are views, made once per vector and kept while the vector stays the same. Buffers
    are copied, in by `load` and out by `collect`, since modules are free to replace them and the
    forward pass writes them.

    Attributes:
        device: Where the model is; vectors must be there, too.
        copies_parameters: Whether `load` copies parameters, too, into a vector of the model's own,
            unless it may write to the vector that it is given.
    """

    def __init__(self, model: nn.Module, *functions: Callable[..., Any]) -> None:
        """Prepare a model.

        Args:
            model: The model; its parameters become views.
            functions: What is called with the model, its loss for instance.
        """
        self.model = model.float()
        self.layout = Layout.of(model)
        self._parameters = [each for each in model.parameters() if each.requires_grad]
        self._frozen = [(n, p, p._version) for n, p in model.named_parameters() if is_frozen(p)]
        self._owners = list(_parameter_owners(model))
        self.device = self._parameters[0].device
        self.copies_parameters = may_change_parameters(model, *functions)
        if self.copies_parameters:  # its code, which may also change settings, is the user's
            keep_torch_settings(model)
        self._copy = torch.empty(self.layout.size * self.copies_parameters, device=self.device)
        self._buffers = [
            (module, key, buffer, buffer.detach())
            for _, buffer, module, key in persistent_buffers(model)
        ]
        self._loaded = self._push = self._gradient = torch.empty(0)
        self._parameter_views: list[Tensor] = []
        self._loaded_buffers: list[Tensor] = []
        self._gradient_views: list[Tensor] = []
        self._push_buffers: list[Tensor] = []

    def load(self, parameters: Tensor, *, may_write: bool = False) -> None:
        """Let the model compute with `parameters`, shape [size]: views, and copies of buffers.

        Args:
            parameters: What to compute with.
            may_write: Whether the model may change them: nobody else reads this memory, the same
                memory is given each time, and it has been filled since the last time.
        """
        if self.copies_parameters and not may_write:
            parameters = self._copy.copy_(parameters)
        if not _is_same(parameters, self._loaded):
            views = self.layout.split(parameters)
            self._loaded, self._loaded_buffers = parameters, views[len(self._parameters) :]
            self._parameter_views = views[: len(self._parameters)]
            self._point_parameters()
        elif self.copies_parameters:
            self._point_parameters()
        for (module, key, buffer, memory), view in zip(
            self._buffers, self._loaded_buffers, strict=True
        ):
            if self.copies_parameters:
                buffer.data = memory
            module._buffers[key] = buffer
            buffer.copy_(view)

    def bind(self, parameters: Tensor, push: Tensor, *, may_write: bool = False) -> None:
        """Load `parameters` and let gradients accumulate in `push`, both of shape [size].

        What `push` holds stays: `zero_gradient` clears the gradient, `collect` fills the rest after
        the backward pass. For `may_write` see `load`.
        """
        self.load(parameters, may_write=may_write)
        if not _is_same(push, self._push):
            views = self.layout.split(push)
            self._push, self._push_buffers = push, views[len(self._parameters) :]
            self._gradient_views = views[: len(self._parameters)]
            self._gradient = push[: self.layout.num_parameters]
            self._point_gradients()
        elif self.copies_parameters:
            self._point_gradients()

    def zero_gradient(self) -> None:
        """Set the bound push's gradient to zero."""
        self._gradient.zero_()

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Return the value of a function of the model, with further arguments.

        Raises:
            RunFailed: If another parameter was put in the place of one of the model's, or the
                values of a frozen one were changed.
        """
        if not self.copies_parameters:
            return function(self.model, *arguments)
        with torch_settings_kept():
            value = function(self.model, *arguments)
        for owner, key, parameter in self._owners:
            if owner.get(key) is not parameter:
                raise RunFailed(
                    f"the model has put another parameter in the place of its '{key}' in its "
                    "forward pass, whose gradient nobody would see; change the values of the one "
                    "that is there"
                )
        for name, parameter, version in self._frozen:
            if parameter._version != version:
                raise RunFailed(f"the model {CHANGED_FROZEN.format(name=name)}")
        return value

    def collect(self) -> Tensor:
        """Complete the bound push: behind the gradient, the buffers as the forward pass left them.

        Returns:
            The gradient alone, shape [num_parameters].
        """
        if self.copies_parameters:
            for parameter, view in zip(self._parameters, self._gradient_views, strict=True):
                gradient = parameter.grad
                if gradient is not view and gradient is not None:
                    view.copy_(gradient)
        for (module, key, _, _), view in zip(self._buffers, self._push_buffers, strict=True):
            view.copy_(getattr(module, key).detach())
        return self._gradient

    def _point_parameters(self) -> None:
        for parameter, view in zip(self._parameters, self._parameter_views, strict=True):
            parameter.data = view
            parameter.requires_grad = True

    def _point_gradients(self) -> None:
        for parameter, view in zip(self._parameters, self._gradient_views, strict=True):
            if parameter.grad is not view:  # half the time of assigning
                parameter.grad = view


def _parameter_owners(
    model: nn.Module,
) -> Iterator[tuple[dict[str, nn.Parameter | None], str, nn.Parameter]]:
    """Yield where a module keeps each of its parameters, the name there, and the parameter."""
    for module in model.modules():
        for key, parameter in module._parameters.items():
            if parameter is not None:
                yield module._parameters, key, parameter


def _is_same(vector: Tensor, kept: Tensor) -> bool:
    # Other rows of a buffer come as new tensor objects each time; the memory tells. `kept` is held,
    # so its memory can't have been given to another tensor.
    return vector.data_ptr() == kept.data_ptr()
