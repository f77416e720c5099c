"""What a person should know about an instruction."""

from backend.editing.editor import Editor


def notes_on(editor: Editor, instruction: str, applies: bool | None) -> tuple[str, ...]:
    """What a person should know about an instruction, whose prompt check found `applies`; None
    where it was not made, or is told otherwise.
    """
    notes = []
    if applies is False:
        notes.append(
            f'The model does not see where this applies: "{instruction}". Name what is in the '
            "picture."
        )
    if unread := editor.backbone.unread_text(instruction):
        notes.append(f"The instruction is too long for the model, which does not read: {unread}")
    if not instruction.isascii():
        notes.append("The model was trained on English instructions; others may not be understood.")
    return tuple(notes)
