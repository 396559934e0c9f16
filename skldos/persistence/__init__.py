"""Save and load models: one file per model, with a model card. Loading executes no code."""

from skldos.persistence.card import ModelCard, model_card
from skldos.persistence.file import load, save

__all__ = ["save", "load", "model_card", "ModelCard"]
