"""What a model is, and one file or folder per format that becomes one."""
