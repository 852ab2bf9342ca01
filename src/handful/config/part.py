"""What every map of handful.yml is."""

from __future__ import annotations

import ast
import inspect
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic_core import CoreSchema


class Part(BaseModel):
    """A map of handful.yml: its keys are fixed, its values cannot be changed after loading."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, defer_build=True)

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> dict[str, Any]:
        """Describe each key with the text below its field.

        Read here and not by pydantic (`use_attribute_docstrings`), which would cost every command 30 ms.
        """
        made = handler(core)
        properties = handler.resolve_ref_schema(made)["properties"]
        (body,) = ast.parse(inspect.getsource(cls)).body
        for field, text in pairwise(body.body if isinstance(body, ast.ClassDef) else ()):
            if isinstance(field, ast.AnnAssign) and isinstance(text, ast.Expr):
                properties[ast.unparse(field.target)]["description"] = inspect.cleandoc(ast.literal_eval(text.value))
        return made
