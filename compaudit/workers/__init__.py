"""Child processes that hold a model: how they start, speak, are limited, and die."""
