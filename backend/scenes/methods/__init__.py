"""The methods that edit a scene: how its views and its field change while the field is trained.

A new one satisfies `SceneMethod` and has a place in `METHODS` (scene_method.py); the config's
`method` names it. The paper's is dataset_update.py. Where an edit may change anything at all is a
region (regions.py), the same for all methods.
"""
