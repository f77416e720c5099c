"""What tells a person's mistake from a defect of the program."""


class BadInput(ValueError):
    """What a person gave cannot be used; the text is one sentence that says what to do.

    Everything else that is raised is a defect, and keeps its traceback.
    """
