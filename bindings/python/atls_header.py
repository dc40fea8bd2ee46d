"""The declarations of atls.h in the form that cffi reads. Needs no compiler; used when the package is built.

The header keeps to a small part of C, so this is a filter rather than a preprocessor: what it does not know, cffi refuses.
"""

from __future__ import annotations

import re

BEGIN = "ATLS_BEGIN\n"
END = "ATLS_END\n"


def declarations(header: str) -> str:
    """Everything between ATLS_BEGIN and ATLS_END, without comments, annotations and inline functions."""
    start, end = header.rfind("\n" + BEGIN), header.rfind("\n" + END)
    if start < 0 or end < start:
        raise ValueError("atls.h has no ATLS_BEGIN .. ATLS_END")
    text = header[start + 1 + len(BEGIN) : end]
    text = re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)
    text = re.sub(r"^static inline [^{;]*\{.*?^\}\n", "", text, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"\bATLS_(NULLABLE|NONNULL)\b", "", text)
    text = re.sub(r"\bATLS_ENUM\((\w+), (\w+)\)", r"typedef \2 \1; enum", text)
    # cffi takes numbers only.
    text = re.sub(r"^(#define \w+ )UINT64_MAX$", rf"\g<1>{2**64 - 1}", text, flags=re.MULTILINE)
    return re.sub(r"\n\s*\n+", "\n", text)


def functions(text: str) -> set[str]:
    """The functions that the declarations have."""
    return set(re.findall(r"\b(atls_\w+)\(", text))
