"""What a person should know about an instruction."""

from backend.editing.models.denoiser import ModelCard


def notes_on(card: ModelCard, instruction: str, applies: bool | None) -> tuple[str, ...]:
    """What a person should know about an instruction to a model. The prompt check found `applies`;
    None where it was not made, or is told otherwise.
    """
    notes = []
    if applies is False:
        notes.append(
            f'The model does not see where this applies: "{instruction}". Name what is in the '
            "picture."
        )
    if unread := card.unread(instruction):
        notes.append(f"The instruction is too long for the model, which does not read: {unread}")
    if card.english and not instruction.isascii():
        notes.append("The model was trained on English instructions; others may not be understood.")
    return tuple(notes)
