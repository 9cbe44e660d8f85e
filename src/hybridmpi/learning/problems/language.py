"""Language: a small transformer that predicts the next character of a text."""

import math
import sysconfig
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from hybridmpi.core.metrics import FRACTION, NATS
from hybridmpi.errors import UserError
from hybridmpi.learning.datasets.files import reading
from hybridmpi.learning.problem import LOSS, Metric, Problem
from hybridmpi.learning.problems.options import check_count, check_number
from hybridmpi.learning.samples import TensorSamples

_TEST_EVERY = 10  # samples, of which one is for testing
_MOST_CHARACTERS = 256


def language(
    file: str | None = None,
    characters: int = 1_000_000,
    context: int = 64,
    width: int = 64,
    heads: int = 4,
    layers: int = 2,
    dropout: float = 0.0,
) -> Problem:
    """Return the problem of predicting the next character.

    A sample is a piece of the text of `context` + 1 characters; every tenth is for testing.

    Args:
        file: A text file, in UTF-8; the sources of Python's own standard library if not given,
            which differ between versions of Python.
        characters: At most so many are read.
        context: Characters that a prediction may depend on.
        width: Numbers that stand for a character.
        heads: Of attention, a divisor of `width`.
        layers: Number of blocks of attention and a dense layer.
        dropout: Share of each block's output that is left out in training.

    Returns:
        Metrics `loss`, nats per character, `perplexity`, its exponential, and `accuracy`, the share
        of characters that are predicted rightly, on test samples.

    Raises:
        UserError: If an argument is unfit, or the file cannot be read.
    """
    for option, count in (("context", context), ("width", width), ("heads", heads)):
        check_count("language", option, count)
    check_count("language", "layers", layers)
    check_count("language", "characters", characters)
    check_number("language", "dropout", dropout, at_least=0, below=1)
    if width % heads:
        raise UserError(
            f"problem 'language': option width is {width}, but must be a multiple of heads "
            f"({heads})"
        )
    made = Language(file, characters, context, width, heads, layers, float(dropout))
    return Problem(
        model=made.model,
        training=made.training,
        test=made.test,
        loss=mean_loss,
        metrics={
            LOSS: Metric(measure, unit=NATS),
            "perplexity": Metric(
                measure, transform=math.exp, meaning="exponential of the mean loss per character"
            ),
            "accuracy": Metric(
                measure,
                unit=FRACTION,
                higher_is_better=True,
                meaning="share of characters predicted rightly, 0 to 1",
            ),
        },
    )


def mean_loss(model: nn.Module, batch: Tensor) -> Tensor:
    """Return the mean cross-entropy of the next characters, in nats.

    Args:
        model: Of tokens, [samples, context], to outputs, [samples, context, characters].
        batch: Tokens, [samples, context + 1].
    """
    tokens = batch.long()
    output: Tensor = model(tokens[:, :-1])
    return functional.cross_entropy(output.flatten(0, 1), tokens[:, 1:].flatten())


def measure(model: nn.Module, batch: Tensor) -> dict[str, Tensor]:
    """Return the loss per character of each sample, and the share that is predicted rightly."""
    tokens = batch.long()
    output: Tensor = model(tokens[:, :-1])
    following = tokens[:, 1:]
    loss = functional.cross_entropy(output.transpose(1, 2), following, reduction="none").mean(1)
    is_right = (output.argmax(2) == following).double().mean(1)
    return {LOSS: loss, "perplexity": loss, "accuracy": is_right}


class Transformer(nn.Module):
    """A causal transformer, whose embedding is also its last layer's weight."""

    def __init__(
        self, characters: int, context: int, width: int, heads: int, layers: int, dropout: float
    ) -> None:
        super().__init__()
        self.tokens = nn.Embedding(characters, width)
        self.positions = nn.Embedding(context, width)
        nn.init.normal_(self.tokens.weight, std=1 / math.sqrt(width))
        nn.init.normal_(self.positions.weight, std=1 / math.sqrt(width))
        self.blocks = nn.Sequential(*(Block(width, heads, dropout) for _ in range(layers)))
        self.norm = nn.LayerNorm(width)
        self.output = nn.Linear(width, characters, bias=False)
        self.output.weight = self.tokens.weight

    def forward(self, tokens: Tensor) -> Tensor:
        """Return outputs, [samples, length, characters], of tokens, int64, [samples, length]."""
        places = torch.arange(tokens.shape[1], device=tokens.device)
        hidden = self.blocks(self.tokens(tokens) + self.positions(places))
        output: Tensor = self.output(self.norm(hidden))
        return output


class Block(nn.Module):
    """Attention to earlier places, and a dense layer for each place."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.norm = nn.LayerNorm(width)
        self.questions = nn.Linear(width, 3 * width)
        self.answer = nn.Linear(width, width)
        self.dense = nn.Sequential(
            nn.LayerNorm(width),
            nn.Linear(width, 4 * width),
            nn.GELU(),
            nn.Linear(4 * width, width),
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, hidden: Tensor) -> Tensor:
        """Return a tensor of the same shape, [samples, length, width]."""
        samples, length, width = hidden.shape
        parts = self.questions(self.norm(hidden)).view(samples, length, 3, self.heads, -1)
        query, key, value = parts.permute(2, 0, 3, 1, 4)
        found = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        answer = self.answer(found.transpose(1, 2).reshape(samples, length, width))
        hidden = hidden + self.dropout(answer)
        after: Tensor = hidden + self.dropout(self.dense(hidden))
        return after


@dataclass(frozen=True)
class Language:
    """The text and the model; see `language`."""

    file: str | None
    characters: int
    context: int
    width: int
    heads: int
    layers: int
    dropout: float

    def model(self) -> nn.Module:
        """Return a transformer for the characters of the text."""
        _, known = self._pieces
        return Transformer(
            len(known), self.context, self.width, self.heads, self.layers, self.dropout
        )

    def training(self) -> TensorSamples:
        """Return nine of ten pieces."""
        pieces, _ = self._pieces
        return TensorSamples(pieces[torch.arange(len(pieces)) % _TEST_EVERY > 0])

    def test(self) -> TensorSamples:
        """Return one of ten pieces."""
        pieces, _ = self._pieces
        return TensorSamples(pieces[::_TEST_EVERY].contiguous())

    @cached_property
    def _pieces(self) -> tuple[Tensor, str]:
        """Return tokens, uint8, [pieces, context + 1], and the characters that they stand for.

        Each piece begins with the last character of the one before. Characters beyond the 255 most
        frequent ones are all the last token.
        """
        text = read_text(self.file, self.characters)
        found = np.frombuffer(text.encode("utf-32-le"), np.uint32)
        characters, counts = np.unique(found, return_counts=True)
        if len(characters) > _MOST_CHARACTERS:
            frequent = np.argsort(-counts, kind="stable")[: _MOST_CHARACTERS - 1]
            characters = np.append(np.sort(characters[frequent]), 0xFFFD)
            found = np.where(np.isin(found, characters), found, 0xFFFD)
        order = np.argsort(characters, kind="stable")
        tokens = order[np.searchsorted(characters[order], found)].astype(np.uint8)
        count = (len(tokens) - 1) // self.context
        if count < 2 * _TEST_EVERY:
            raise UserError(
                f"problem 'language': {self.file or 'the text'} has {len(tokens)} characters, but "
                f"pieces of context = {self.context} need at least "
                f"{2 * _TEST_EVERY * self.context + 1}; give a longer file or a smaller context"
            )
        pieces = torch.from_numpy(tokens[: count * self.context + 1].copy())
        known = "".join(map(chr, characters.tolist()))
        return pieces.unfold(0, self.context + 1, self.context).contiguous(), known


def read_text(file: str | None, characters: int) -> str:
    """Return at most so many characters of a file, or of the standard library's modules.

    Raises:
        UserError: If a file cannot be read, or is no text.
    """
    if file is not None:
        return _read(Path(file).expanduser(), characters)
    text = ""
    for path in sorted(Path(sysconfig.get_path("stdlib")).glob("*.py")):
        text += _read(path, characters - len(text))
        if len(text) >= characters:
            break
    return text


def _read(path: Path, characters: int) -> str:
    try:
        with reading(path), path.open(encoding="utf-8-sig") as stream:
            return stream.read(characters)
    except UnicodeDecodeError as error:
        raise UserError(
            f"problem 'language': {path} is no text in UTF-8 ({error}); convert it first"
        ) from error
