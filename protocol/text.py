"""Texts: what an instruction may be, and how words of unknown origin are made fit to send."""

import unicodedata

MAX_INSTRUCTION = 1000
"""Characters."""
MAX_SENTENCE = 1000
"""Characters of a sentence that quotes what came from elsewhere."""


def wrong_instruction(text: str) -> str | None:
    """What is wrong with an instruction, in one sentence that says what to do; None where nothing
    is.
    """
    for place, letter in enumerate(text, start=1):
        if unicodedata.category(letter) == "Cs":
            return (
                f"The instruction's character {place} is not text (half of a pair, or a byte that "
                "is not UTF-8): type the instruction again."
            )
    if not any(unicodedata.category(letter)[0] in "LNPS" for letter in text):
        return 'The instruction is empty: say what should change, such as "turn the ball red".'
    if len(text) > MAX_INSTRUCTION:
        return (
            f"The instruction has {len(text)} characters, more than {MAX_INSTRUCTION}: shorten it."
        )
    return None


def check_instruction(text: str) -> None:
    """Raise ValueError, with what to do, where `text` cannot be an instruction."""
    if wrong := wrong_instruction(text):
        raise ValueError(wrong)


def readable(text: str, longest: int = MAX_SENTENCE) -> str:
    """`text` on one line and with at most `longest` characters, fit to be sent, logged and shown:
    the middle of a longer one is left out, and what cannot be printed is escaped.
    """
    if len(text) > longest:
        text = f"{text[: longest // 2]} ... {text[-longest // 4 :]}"
    shown = "".join(
        " " if letter.isspace() else letter if letter.isprintable() else ascii(letter)[1:-1]
        for letter in text
    )
    return shown if len(shown) <= longest else f"{shown[: longest - 4]} ..."
