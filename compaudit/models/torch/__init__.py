"""Reading and running PyTorch models. The only place that imports torch."""
