"""The weeks before: from pictures to a model."""
