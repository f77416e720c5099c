"""The models that edit pictures, and what a new one has to offer.

A model is anything that satisfies `Denoiser` (denoiser.py): a `card` that says what others have to
know about it, and eight short functions.

    encode, decode       a picture to latents and back
    latents              the same as encode, of torch's pixels and with a gradient to them
    conditions           what the model is told of a picture and an instruction; its own and opaque
    levels               the noise levels 0..1 of an edit in so many steps
    noised               latents with noise of a level, as the model was trained with it
    difference           what an instruction changes in the predicted noise     (for Eq. 2)
    predict              picture and noise in noised latents, guided            (Eq. 1 or its own)

`Editor(model)` then makes maps and edits with it; nothing else knows a model. To have it loaded by
name, from a folder or the hub, as `--model` does, give the function that reads it a place in the
registry, under the `_class_name` of its model_index.json:

    from backend.editing.models.registry import MODELS
    MODELS["MyPipeline"] = my_loader        # of a `Source` (source.py): place, device, dtype

A model that is trained on DDPM's schedule has `levels`, `noised` and more in ddpm.py.
"""
