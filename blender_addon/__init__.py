"""Watch Your Steps for Blender: local edits of a camera render by one sentence of text.

Brings the tab "Watch Your Steps" into the 3D view's sidebar. The work is done by a backend
(`python -m backend.server`), which this talks to; nothing here needs torch.
"""

from . import handlers, operators, overlay, panel, preferences, properties

MODULES = (preferences, properties, operators, panel, overlay, handlers)


def register() -> None:
    """Blender calls this when the extension is switched on."""
    for module in MODULES:
        module.register()


def unregister() -> None:
    """Blender calls this when the extension is switched off; the connection's thread ends."""
    for module in reversed(MODULES):
        module.unregister()
