"""What can be set for one of the two models alone."""

from __future__ import annotations

import msgspec

from compaudit.config.checks import LARGEST, check_mapping, check_whole

__all__ = ["ModelOptions"]


class ModelOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Settings of one model, which add to those for both and win over them.

    Attributes:
        batch_size: samples at once.
        input_shapes: of inputs that leave theirs open.
        map_input: the data's array A feeds this model's input B. Without data, made-up inputs are
            called as the original's map says.
        map_output: this model's output B is called A wherever outputs are matched by name: by the
            other model's names, by ``--map-output``, ``--model-output``, and in the report.
    """

    batch_size: int | None = None
    input_shapes: dict[str, tuple[int, ...]] = {}
    map_input: dict[str, str] = {}
    map_output: dict[str, str] = {}
    provider_options: dict[str, str] = {}
    session_options: dict[str, str] = {}
    custom_op_libraries: tuple[str, ...] = ()

    def check(self, prefix: str = "") -> None:
        """Raises RequestError for what is impossible; `prefix` is ``original-`` or the like."""
        check_whole(f"{prefix}batch-size", self.batch_size, 1, LARGEST)
        check_mapping(f"{prefix}map-input", self.map_input)
        if prefix:  # the common one is no renaming: it pairs outputs
            check_mapping(f"{prefix}map-output", self.map_output)

    def over(self, common: ModelOptions) -> ModelOptions:
        """Both together; where they contradict each other, these win.

        `map_output` is this model's own: the common one is no renaming, it pairs two outputs.
        """
        fed = set(self.map_input.values())
        kept = {array: name for array, name in common.map_input.items() if name not in fed}
        libraries = (*common.custom_op_libraries, *self.custom_op_libraries)
        return ModelOptions(
            batch_size=self.batch_size or common.batch_size,
            input_shapes={**common.input_shapes, **self.input_shapes},
            map_input={**kept, **self.map_input},
            map_output=self.map_output,
            provider_options={**common.provider_options, **self.provider_options},
            session_options={**common.session_options, **self.session_options},
            custom_op_libraries=tuple(dict.fromkeys(libraries)),
        )
