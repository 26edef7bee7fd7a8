"""How to count each kind of contraction: convolution, matrix product, attention, recurrence.

One multiply-accumulate is one product that is added to a sum. Additions of a bias, and whatever is
done element by element, are none. Padding counts as if it were data, masks and causality as if they
were not there: every published figure is counted so.
"""

from __future__ import annotations

from compaudit.measure.macs.operands import Operands, Rule, Shape, Work, product

__all__ = [
    "attention",
    "attention_of_projections",
    "by_blocks",
    "convolution",
    "deconvolution",
    "einsum",
    "gemm",
    "grouped_attention",
    "head_attention",
    "linear",
    "matmul",
    "nothing",
    "packed_matmul",
    "recurrence",
    "scores",
    "support_vectors",
    "torch_bilinear",
    "torch_convolution",
    "torch_encoder_layer",
    "torch_projected_attention",
    "torch_recurrence",
    "torch_scores",
]

Slot = int | str


def nothing(operands: Operands) -> list[Work]:
    """No multiply-accumulate: a rule too."""
    return []


# ---------------------------------------------------------------------------- convolutions


def convolution(weight: Slot = 1) -> Rule:
    """Each output element takes one kernel: out × C/groups × kernel. Weight [M, C/groups, …]."""

    def count(operands: Operands) -> list[Work]:
        kernel = operands.input(weight, rank=3)
        return [Work(product(operands.output()) * product(kernel[1:]), (operands.name(weight),))]

    return count


def deconvolution(data: Slot = 0, weight: Slot = 1) -> Rule:
    """One kernel spreads each input element: in × M/groups × kernel. Weight [C, M/groups, …]."""

    def count(operands: Operands) -> list[Work]:
        kernel = operands.input(weight, rank=3)
        return [Work(product(operands.input(data)) * product(kernel[1:]), (operands.name(weight),))]

    return count


def torch_convolution(operands: Operands) -> list[Work]:
    """``aten.convolution`` and its like, in both directions."""
    transposed = operands.node.attributes.get("transposed", False)
    rule = deconvolution("input", "weight") if transposed else convolution("weight")
    return rule(operands)


# ------------------------------------------------------------------------- matrix products


def matmul(left: Slot = 0, right: Slot = 1) -> Rule:
    """Each output element is a sum over the last dimension of the left operand.

    FusedMatMul may find that dimension elsewhere: last but one where the left operand is
    transposed (``transA``), first where its batch dimensions are moved as well.
    """

    def count(operands: Operands) -> list[Work]:
        a = operands.input(left, rank=1)
        inner = a[-1]
        if operands.number("transA") and len(a) > 1:
            inner = a[0] if operands.number("transBatchA") else a[-2]
        if operands.knows_output():
            elements = product(operands.output())
        elif _moved(operands):
            raise operands.unknown()
        else:
            elements = _product_elements(a, operands.input(right, rank=1))
        weights = (operands.name(right), operands.name(left))
        return [Work(elements * inner, weights)]

    return count


def _moved(operands: Operands) -> bool:
    return any(operands.number(f"trans{what}") for what in ("A", "B", "BatchA", "BatchB"))


def _product_elements(a: Shape, b: Shape) -> int:
    """Elements of ``a @ b``: broadcast batch dimensions, rows of a, columns of b."""
    rows = a[-2] if len(a) > 1 else 1
    columns = b[-1] if len(b) > 1 else 1
    batch_a, batch_b = a[:-2][::-1], b[:-2][::-1]
    batch = 1
    for place in range(max(len(batch_a), len(batch_b))):
        sizes = {shape[place] for shape in (batch_a, batch_b) if place < len(shape)}
        batch *= 0 if 0 in sizes else max(sizes)
    return batch * rows * columns


def gemm(left: Slot = 0, right: Slot = 1) -> Rule:
    """[M, K] by [K, N], either stored transposed: elements of the left operand × N."""

    def count(operands: Operands) -> list[Work]:
        rows, columns = operands.output(rank=2)[-2:]
        elements = product(operands.input(left))
        if rows == 0:
            return [Work(0, (operands.name(right),))]
        macs = elements // rows * rows * columns
        return [Work(macs, (operands.name(right), operands.name(left)))]

    return count


def linear(data: Slot = "input", weight: Slot = "weight") -> Rule:
    """Each row of the data meets the whole weight [out, in]."""

    def count(operands: Operands) -> list[Work]:
        rows = product(operands.input(data, rank=1)[:-1])
        return [Work(rows * product(operands.input(weight)), (operands.name(weight),))]

    return count


def by_blocks(operands: Operands) -> list[Work]:
    """A weight of K × N packed in blocks: elements of the data [..., K] × N."""
    columns = operands.number("N", -1)
    if columns < 0:
        columns = operands.output(rank=1)[-1]
    return [Work(product(operands.input(0)) * columns, (operands.name(1),))]


def packed_matmul(operands: Operands) -> list[Work]:
    """A linear layer of torch whose packed weight does not show its sizes: out × in."""
    data = operands.input(0, rank=1)
    return [Work(product(operands.output()) * data[-1], (operands.name(1),))]


def torch_bilinear(operands: Operands) -> list[Work]:
    """x₁ᵀ W x₂ with W [out, in₁, in₂]: rows × (all of W, then out × in₂)."""
    rows = product(operands.input("input1", rank=1)[:-1])
    weight = operands.input("weight", rank=3)
    name = (operands.name("weight"),)
    return [Work(rows * product(weight), name), Work(rows * weight[0] * weight[2])]


# --------------------------------------------------------------------------------- einsum


def einsum(operands: Operands) -> list[Work]:
    """Two operands: the product of all distinct sizes. More: pairwise, from left to right.

    After each pair the indices that neither the result nor a later operand has are summed away.
    Where nothing is summed, it is a multiplication element by element, which counts nothing.
    """
    if "argument_names" in operands.node.attributes:
        names = operands.group("tensors")
    else:
        names = list(operands.node.inputs)
    equation = str(operands.node.attributes.get("equation", "")).replace(" ", "")
    left, arrow, result = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(names) or not equation:
        raise operands.unknown()
    sizes: dict[str, int] = {}
    indices = [
        _indices(term, operands.size(name), sizes, operands)
        for term, name in zip(terms, names, strict=True)
    ]
    if arrow:
        kept = set(result.replace("...", "")) | {index for index in sizes if index.startswith(".")}
    else:
        kept = {index for index in sizes if index.startswith(".") or left.count(index) == 1}
    work: list[Work] = []
    current = indices[0]
    for place, other in enumerate(indices[1:], 1):
        needed = kept.union(*indices[place + 1 :])
        union = current | other
        if union - needed:
            weights = (names[place], names[0]) if place == 1 else (names[place],)
            work.append(Work(product(sizes[index] for index in union), weights))
        current = union & needed
    return work


def _indices(term: str, shape: Shape, sizes: dict[str, int], operands: Operands) -> set[str]:
    """The indices of one operand; those of an ellipsis are ``.1``, ``.2`` … from the right."""
    before, dots, after = term.partition("...")
    hidden = len(shape) - len(before) - len(after)
    if hidden < 0 or (hidden and not dots):
        raise operands.unknown()
    labels = [*before, *(f".{hidden - place}" for place in range(hidden)), *after]
    for label, size in zip(labels, shape, strict=True):
        sizes[label] = max(size, sizes.get(label, size)) if size else 0
    return set(labels)


# ------------------------------------------------------------------------------ attention


def scores(rows: int, keys: int, width: int, value_width: int) -> list[Work]:
    """QKᵀ over `width` and the weighted sum over `value_width`, all heads together."""
    return [Work(rows * keys * width), Work(rows * keys * value_width)]


def attention_of_projections(past: int) -> Rule:
    """com.microsoft Attention, QAttention: X [B, S, H] by W [H, Q + K + V], then attention."""

    def count(operands: Operands) -> list[Work]:
        batch, length, _ = operands.input(0, rank=3)[:3]
        weight = operands.input(1, rank=2)
        work = [Work(batch * length * product(weight), (operands.name(1),))]
        widths = operands.node.attributes.get("qkv_hidden_sizes") or [weight[1] // 3] * 3
        if len(widths) != 3:
            raise operands.unknown()
        keys = length + (operands.input(past, rank=5)[3] if operands.has(past) else 0)
        return work + scores(batch * length, keys, int(widths[0]), int(widths[2]))

    return count


def head_attention(operands: Operands) -> list[Work]:
    """com.microsoft MultiHeadAttention: the projections stand before it.

    Query [B, S, H]; key [B, L, H] or [B, heads, L, d]; or key and value packed as
    [B, L, heads, 2, d], or all three as [B, S, heads, 3, d].
    """
    query = operands.input(0, rank=3)
    rows = query[0] * query[1]
    past = operands.input(6, rank=4)[2] if operands.has(6) else 0
    if len(query) == 5:
        width = query[2] * query[4]
        return scores(rows, query[1] + past, width, width)
    if not operands.has(1):
        raise operands.unknown()
    key = operands.input(1, rank=3)
    if len(key) == 5:
        return scores(rows, key[1] + past, query[2], key[2] * key[4])
    value = operands.input(2, rank=3)
    keys = key[2] if len(key) == 4 else key[1]
    value_width = value[1] * value[3] if len(value) == 4 else value[2]
    return scores(rows, keys + past, query[2], value_width)


def grouped_attention(operands: Operands) -> list[Work]:
    """com.microsoft GroupQueryAttention: few heads of keys and values serve many of queries.

    Query [B, S, heads × d], or with key and value behind it where those are absent.
    """
    batch, length, width = operands.input(0, rank=3)[:3]
    heads, key_heads = operands.number("num_heads"), operands.number("kv_num_heads")
    if heads <= 0 or key_heads <= 0:
        raise operands.unknown()
    if not operands.has(1):
        width = width // (heads + 2 * key_heads) * heads
    keys = length if not operands.has(1) else operands.input(1, rank=3)[1]
    if operands.has(3):
        keys += operands.input(3, rank=4)[2]
    return scores(batch * length, keys, width, width)


def attention(operands: Operands) -> list[Work]:
    """ai.onnx Attention: [B, heads, S, d], or [B, S, heads × d] with the heads as attributes."""
    query, key, value = (operands.input(slot, rank=3) for slot in range(3))
    past = operands.input(4, rank=4)[2] if operands.has(4) else 0
    if len(query) == 4 and len(key) == 4 and len(value) == 4:
        rows = query[0] * query[1] * query[2]
        return scores(rows, key[2] + past, query[3], value[3])
    heads, key_heads = operands.number("q_num_heads"), operands.number("kv_num_heads")
    if heads <= 0 or key_heads <= 0:
        raise operands.unknown()
    value_width = heads * (value[2] // key_heads)
    return scores(query[0] * query[1], key[1] + past, query[2], value_width)


def torch_scores(operands: Operands) -> list[Work]:
    """Query [..., S, d], key [..., L, d], value [..., L, v]."""
    query, key = operands.input("query", rank=2), operands.input("key", rank=2)
    value = operands.input("value", rank=2)
    return scores(product(query[:-1]), key[-2], query[-1], value[-1])


def torch_projected_attention(operands: Operands) -> list[Work]:
    """Query, key, value [B, S, d], each by a third of W [3 × d, d]; attention; one more product."""
    rows = [product(operands.input(name, rank=3)[:2]) for name in ("query", "key", "value")]
    packed, output = operands.input("qkv_weight", rank=2), operands.input("proj_weight", rank=2)
    keys, width = operands.input("key")[1], packed[1]
    return [
        Work(sum(rows) * product(packed) // 3, (operands.name("qkv_weight"),)),
        *scores(rows[0], keys, width, width),
        Work(rows[0] * product(output), (operands.name("proj_weight"),)),
    ]


def torch_encoder_layer(operands: Operands) -> list[Work]:
    """The fused layer of a Transformer's encoder: four matrices by each of [B, S, d], attention."""
    batch, length, width = operands.input("src", rank=3)[:3]
    matrices = ("qkv_weight", "proj_weight", "ffn_weight_1", "ffn_weight_2")
    return [
        *(
            Work(batch * length * product(operands.input(name, rank=2)), (operands.name(name),))
            for name in matrices
        ),
        *scores(batch * length, length, width, width),
    ]


# ---------------------------------------------------------------------- recurrent networks


def recurrence(operands: Operands) -> list[Work]:
    """LSTM, GRU, RNN: at each step of each sample the whole of W and of R, in every direction.

    X [S, B, I] (or [B, S, I]), W [directions, gates × H, I], R [directions, gates × H, H].
    """
    steps = product(operands.input(0, rank=3)[:2])
    return [
        Work(steps * product(operands.input(slot, rank=3)), (operands.name(slot),))
        for slot in (1, 2)
    ]


_MATRICES = ("w_ih", "w_hh", "weight0", "weight1")


def torch_recurrence(operands: Operands) -> list[Work]:
    """Torch's recurrent layers and cells: every matrix of every layer, at each step."""
    steps = product(operands.input("input", rank=1)[:-1])
    weights = [
        *operands.group("params"),
        *(operands.name(argument) for argument in _MATRICES if operands.has(argument)),
    ]
    work: list[Work] = []
    for name in weights:
        shape = operands.size(name)
        if len(shape) == 2:
            work.append(Work(steps * product(shape), (name,)))
    if not work:
        raise operands.unknown()
    return work


# ------------------------------------------------------------------------ classical models


def support_vectors(operands: Operands) -> list[Work]:
    """ai.onnx.ml: each row meets every coefficient and every support vector once."""
    data = operands.input(0, rank=1)
    rows = product(data[:-1])
    held = operands.node.attributes
    return [
        Work(rows * len(held[kept]), attribute=kept)
        for kept in ("coefficients", "support_vectors")
        if kept in held
    ]
