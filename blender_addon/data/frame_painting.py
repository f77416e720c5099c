"""What edits of frames do with what is painted on the mask of one picture."""

FOLLOW, STAY, LEAVE_OUT = "FOLLOW", "STAY", "LEAVE_OUT"
WAYS = (
    (
        FOLLOW,
        "Follow the Scene",
        "What is painted moves with the surfaces that it was painted on, goes behind others and "
        "bends with its mesh; on the sky it turns with the camera. What was not seen where it was "
        "painted is left to the slider",
    ),
    (
        STAY,
        "Stay in the Picture",
        "What is painted is at the same place of every frame's picture, whatever moves",
    ),
    (
        LEAVE_OUT,
        "Leave Out",
        "The frames' masks are the slider's alone, without what is painted and picked",
    ),
)
"""As Blender's enumerations are written; files keep their places."""
